/** One end of a mirror in a process of its own, so that its memory can be measured: `memory-agent.ts '{"role": ...}'`. */

import { readFileSync } from "node:fs";
import { listenMirror } from "@understudy/mirror/listener";
import { openPrimary } from "@understudy/mirror/primary";
import { captureTree } from "@understudy/mirror/tree";
import { POSITION_ZERO } from "@understudy/model/position";
import { systemClock } from "@understudy/service/clock";
import { readTls } from "@understudy/service/tls";

export type AgentOptions = {
  readonly role: "capture" | "primary" | "shadow";
  readonly dir: string;
  readonly workDir: string;
  readonly tlsDir: string;
  /** Of the shadow's listener, for a primary. */
  readonly port?: number;
};

const REPORT_MS = 250;
const TICK_MS = 20;

const options: AgentOptions = JSON.parse(process.argv[2]!);
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const onError = (error: Error) => console.error(`${options.role}: ${error.message}`);
const { dir, workDir } = options;
const state = { resource: "bench", dir, paths: ["."], consistency: "none" as const };

/** Megabytes resident: now, and at most since the process began. */
function memory(): { rssMb: number; peakMb: number } {
  const status = readFileSync("/proc/self/status", "utf8");
  const of = (key: string) => Number(new RegExp(`${key}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1024;
  return { rssMb: of("VmRSS"), peakMb: of("VmHWM") };
}

const before = memory();
switch (options.role) {
  case "capture": {
    const capture = await captureTree({ dir, roots: ["."], workDir, nowMs: Date.now, onError });
    say({ ready: true, before, entries: capture.manifest.entries.size, ...memory() });
    break;
  }
  case "shadow": {
    const tls = readTls(options.tlsDir);
    const listener = await listenMirror({ host: "127.0.0.1", port: 0, tls, clock: systemClock, onError });
    const shadow = await listener.openShadow({ state, instance: "shadow", incarnation: "1", workDir });
    say({ ready: true, port: listener.port });
    setInterval(() => say({ version: shadow.visible().version, ...memory() }), REPORT_MS);
    break;
  }
  case "primary": {
    const tls = readTls(options.tlsDir);
    const common = { tls, clock: systemClock, onError, tickMs: TICK_MS };
    const primary = await openPrimary({ state, epoch: 1, from: POSITION_ZERO, workDir, ...common });
    primary.attach({ instance: "shadow", incarnation: "1", address: `127.0.0.1:${options.port}` });
    say({ ready: true });
    setInterval(() => {
      const { seedBytes, deltaBytes, lagMs } = primary.shadows()[0]!;
      say({ version: primary.position().version, sentBytes: seedBytes + deltaBytes, lagMs, ...memory() });
    }, REPORT_MS);
    break;
  }
}
// Whoever started it may die: then its end of the pipe closes, and so do we.
process.stdin.on("end", () => process.exit(0)).resume();
