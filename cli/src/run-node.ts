/** Runs another Node program in the foreground, passes it our signals, and takes over its exit code. */

import { spawn } from "node:child_process";
import { constants } from "node:os";
import { REPOSITORY } from "@understudy/testkit/run-folder";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** A shell's convention: 128 and the signal's number. */
const SIGNAL_EXIT_BASE = 128;

export async function runNode(
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<number> {
  const child = spawn(process.execPath, args, { stdio: "inherit", env, cwd: REPOSITORY });
  const pass = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of SIGNALS) process.on(signal, pass);
  try {
    return await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) =>
        resolve(code ?? SIGNAL_EXIT_BASE + (signal ? constants.signals[signal] : 1)),
      );
    });
  } finally {
    for (const signal of SIGNALS) process.off(signal, pass);
  }
}
