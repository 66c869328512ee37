/**
 * One end of a mirror in a process of its own, for a bench to kill or to measure: `mirror-end.ts '{...}'`. A shadow says its port and
 * how far it is; a primary makes one barrier after the other and says what each has acknowledged.
 */

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { SeedOver } from "@understudy/mirror/datagram/choice";
import type { MirroredState } from "@understudy/mirror/engine";
import type { WriterProcess } from "@understudy/mirror/freeze";
import { listenMirror } from "@understudy/mirror/listener";
import { openPrimary } from "@understudy/mirror/primary";
import { POSITION_ZERO } from "@understudy/model/position";
import { systemClock } from "@understudy/service/clock";
import { readTls } from "@understudy/service/tls";
import { roundsOf } from "@understudy/testkit/file-rounds";

export type EndOptions = {
  readonly role: "primary" | "shadow";
  readonly state: MirroredState;
  readonly workDir: string;
  readonly tlsDir: string;
  /** Of the shadow; 0 for any. */
  readonly port: number;
  readonly writer?: WriterProcess;
  readonly writerAddress?: string;
  /** Where the shadow listens and is reached. */
  readonly host?: string;
  readonly tickMs: number;
  /** Between two barriers; 0: none are made. */
  readonly pauseMs: number;
  /** Of a primary: over what the first copy goes. */
  readonly seedOver?: SeedOver;
};

const REOPEN_MS = 100;
const BARRIER_MS_MAX = 5_000;
const LOOPBACK = "127.0.0.1";
const options: EndOptions = JSON.parse(process.argv[2]!);
const host = options.host ?? LOOPBACK;
const common = {
  tls: readTls(options.tlsDir),
  clock: systemClock,
  onError: (error: Error) => say({ error: error.message }),
};
// Who started it may die: there is nobody left to tell anything then.
process.stdin.on("end", () => process.exit(0)).resume();
process.stdout.on("error", () => process.exit(0));
if (options.role === "shadow") await runShadow();
else await runPrimary();

function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

async function runShadow(): Promise<void> {
  const listener = await listenMirror({ host, port: options.port, ...common });
  const { state, workDir } = options;
  const shadow = await patiently(() =>
    listener.openShadow({ state, workDir, instance: "shadow", incarnation: "1" }),
  );
  const tell = () => say({ port: listener.port, durable: shadow.durable(), visible: shadow.visible() });
  shadow.onProgress(tell);
  tell();
}

/** As a replicator does: on a busy machine a writer may not stand still in time, or a reader keep a database locked. */
async function patiently<T>(open: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await open();
    } catch (error) {
      say({ error: (error as Error).message });
      await sleep(REOPEN_MS);
    }
  }
}

async function runPrimary(): Promise<void> {
  const { state, workDir, writer, writerAddress = "", port, tickMs, pauseMs, seedOver } = options;
  const primary = await patiently(() =>
    openPrimary({
      state,
      workDir,
      epoch: 1,
      from: POSITION_ZERO,
      tickMs,
      ...(seedOver && { seedOver }),
      ...(writer && {
        writer: { process: () => writer, target: () => ({ address: writerAddress, env: {} }) },
      }),
      ...common,
    }),
  );
  let transport: string | undefined;
  primary.onProgress(() => {
    const now = primary.shadows()[0]?.transport;
    if (now !== transport) say({ transport: now });
    transport = now;
  });
  primary.attach({ instance: "shadow", incarnation: "1", address: `${host}:${port}` });
  say({ open: true, position: primary.position() });
  while (pauseMs > 0) {
    await sleep(pauseMs);
    try {
      const value = writtenValue(state);
      const { version } = await primary.seal();
      if (await primary.waitDurable(version, ["shadow"], AbortSignal.timeout(BARRIER_MS_MAX)))
        say({ barrier: value, version });
    } catch (error) {
      say({ error: (error as Error).message });
    }
  }
}

/** What has been written for certain before now. */
function writtenValue(state: MirroredState): number {
  if (state.consistency !== "sqlite") return roundsOf(state.dir).at(-1)!;
  const reader = new DatabaseSync(join(state.dir, state.paths[0]!), { readOnly: true, timeout: 5_000 });
  try {
    return Number(reader.prepare("SELECT coalesce(max(n), 0) AS n FROM rounds").get()!.n);
  } finally {
    reader.close();
  }
}
