/** A shadow end in a process of its own, so that a test can kill it: `shadow-process.ts '{...}'`. Prints its port, then its progress. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@understudy/service/clock";
import type { MirroredState } from "../src/engine.ts";
import { listenMirror } from "../src/listener.ts";

export type ShadowProcessOptions = {
  readonly state: MirroredState;
  readonly instance: string;
  readonly incarnation: string;
  readonly workDir: string;
  readonly tlsDir: string;
  readonly port: number;
};

const options: ShadowProcessOptions = JSON.parse(process.argv[2]!);
const pem = (file: string) => readFileSync(join(options.tlsDir, file));
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

const listener = await listenMirror({
  host: "127.0.0.1",
  port: options.port,
  tls: { ca: pem("ca.crt"), cert: pem("tls.crt"), key: pem("tls.key") },
  clock: systemClock,
  onError: (error) => say({ error: error.message }),
});
const shadow = await listener.openShadow(options);
say({ port: listener.port, durable: shadow.durable(), visible: shadow.visible() });
shadow.onProgress(() => say({ durable: shadow.durable(), visible: shadow.visible() }));
// The test that started it may die: then its end of the pipe closes, and so do we.
process.stdin.on("end", () => process.exit(0)).resume();
