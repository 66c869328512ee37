/**
 * A run: everything that one demo, test file or bench starts. It has an id, a folder, an environment that marks its
 * processes, and a guardian, and it ends as a whole.
 */

import { existsSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Guardian, startGuardian } from "./guardian.ts";
import { endRunContainers } from "./run-containers.ts";
import { createRunFolder, newRunId } from "./run-folder.ts";
import { endRunProcesses, RUN_VARIABLE } from "./run-processes.ts";

const GRACE_MS = 3000;

export type Run = {
  readonly id: string;
  readonly folder: string;
  /** What every process of the run must have in its environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends all of it and removes the folder. Idempotent. */
  close(): Promise<void>;
  /** Leaves all of it running when its owner ends. */
  keep(): Promise<void>;
};

export function openRun(): Run {
  const id = newRunId();
  const folder = createRunFolder(id);
  const guardian = startGuardian({ id, folder });
  let closing: Promise<void> | undefined;
  return {
    id,
    folder,
    env: { [RUN_VARIABLE]: id },
    close: () => {
      closing ??= endRun({ id, folder }, guardian);
      return closing;
    },
    keep: () => guardian.release(),
  };
}

/** Ends a run, also one that another process has kept. */
export async function endRun(run: { id: string; folder: string }, guardian?: Guardian): Promise<void> {
  await endRunProcesses(run.id, { graceMs: GRACE_MS });
  endRunContainers(run);
  rmSync(run.folder, { recursive: true, force: true });
  await guardian?.release();
}

/** A folder of its own for each start of the same server: "nats", "nats-2", ... */
export function createServerFolder(run: Run, name: string): string {
  for (let count = 1; ; count += 1) {
    const folder = join(run.folder, count === 1 ? name : `${name}-${count}`);
    if (existsSync(folder)) continue;
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  }
}

let own: Run | undefined;

/** The run of this process, for tests that only need a server: it ends with the process, by the guardian. */
export function processRun(): Run {
  own ??= openRun();
  return own;
}
