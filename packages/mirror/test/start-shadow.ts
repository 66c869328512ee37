/** Starts a shadow end in a process of its own, so that a test can kill or stop it. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { TestContext } from "node:test";
import type { Position } from "@understudy/model/position";
import { until, type World } from "./ends.ts";
import type { ShadowProcessOptions } from "./shadow-process.ts";

export type Running = {
  readonly process: ChildProcess;
  readonly port: number;
  readonly at: () => { durable: Position; visible: Position };
};

export async function startShadow(
  t: TestContext,
  world: World,
  { name, port = 0 }: { name: string; port?: number },
): Promise<Running> {
  const options: ShadowProcessOptions = {
    state: world.stateOf(name),
    instance: name,
    incarnation: "i1",
    workDir: join(world.dir, name, "work"),
    tlsDir: join(world.dir, "tls", "replicator-a"),
    port,
  };
  const script = join(import.meta.dirname, "shadow-process.ts");
  const child = spawn(process.execPath, [script, JSON.stringify(options)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let last: { port?: number; durable: Position; visible: Position } | undefined;
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const said = JSON.parse(line);
    if (said.durable) last = { ...last, ...said };
  });
  await until("the shadow process listens", () => last?.port !== undefined || child.exitCode !== null);
  assert.equal(child.exitCode, null, "the shadow process ended");
  return { process: child, port: last!.port!, at: () => last! };
}
