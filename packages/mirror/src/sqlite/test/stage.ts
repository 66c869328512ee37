/** What a test of the mirror starts with: a folder of its own and processes, all gone when it ends. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { Process, type Program } from "./processes.ts";

export type Stage = {
  /** Path of a database in the test's folder. */
  path(name: string): string;
  start(program: Program): Process;
  /** Closed at the end, before the processes end and the folder goes. */
  own<T extends { close(): void }>(closable: T): T;
};

export function setStage(context: TestContext): Stage {
  const folder = mkdtempSync(join(tmpdir(), "understudy-sqlite-"));
  const processes: Process[] = [];
  const owned: { close(): void }[] = [];
  context.after(async () => {
    for (const closable of owned) closable.close();
    await Promise.all(processes.map((process) => process.kill()));
    rmSync(folder, { recursive: true, force: true });
  });
  return {
    path: (name) => join(folder, name),
    start(program) {
      const process = new Process(program, join(folder, "compiled"));
      processes.push(process);
      return process;
    },
    own(closable) {
      owned.push(closable);
      return closable;
    },
  };
}
