/**
 * Nothing of a run outlives its owner. The guardian is a shell that holds the read end of a pipe whose only write end is
 * the owner's: when the owner dies, even by SIGKILL, the kernel closes the pipe, the shell wakes and becomes `guardian-sweep.ts`.
 * It runs in a session of its own, so that the Ctrl-C meant for the owner does not end the guardian first.
 */

import { spawn } from "node:child_process";
import type { Socket } from "node:net";
import { join } from "node:path";
import { RUN_VARIABLE } from "./run-processes.ts";

const SWEEP = join(import.meta.dirname, "guardian-sweep.ts");
/** A line means "released"; the end of the pipe means that the owner died. */
const WAIT = 'read -r released && exit 0; exec "$@"';

export type Guardian = {
  readonly pid: number;
  /** The owner no longer wants it: what runs, stays. */
  release(): Promise<void>;
};

export function startGuardian(run: { id: string; folder: string }): Guardian {
  const env = { ...process.env };
  // A guardian inside another run would be ended by that run's sweep before it could do its own.
  delete env[RUN_VARIABLE];
  const child = spawn("/bin/sh", ["-c", WAIT, "guardian", process.execPath, SWEEP, run.id, run.folder], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
    env,
  });
  const pipe = child.stdin as Socket;
  child.unref();
  pipe.unref();
  pipe.on("error", () => undefined); // The guardian was killed by somebody: the owner's own clean-up still works.
  return {
    pid: child.pid ?? 0,
    release: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve();
        child.ref();
        child.once("exit", () => resolve());
        pipe.end("released\n");
      }),
  };
}
