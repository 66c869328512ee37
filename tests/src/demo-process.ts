/** The demo as a user starts it, for tests; and the figures that its report promises. */

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { REPOSITORY } from "@understudy/testkit/run-folder";
import { RUN_VARIABLE } from "@understudy/testkit/run-processes";

export const REPORT_KEYS =
  "requests failed failedIdempotent failedIdempotentInFailover p50Ms p99Ms sloMs overSloPct overloadSeconds shadowSeconds staleReadPct leadSeconds failoverMs criticalWritesLost asyncWritesLost deltaBytes stateBytes flaps traceSpans".split(
    " ",
  );
export const EXIT_VALID = 0;
export const EXIT_BUSY_MACHINE = 3;

/** Small: its figures are the bench's to judge. */
export function startDemo(...options: string[]): ChildProcess {
  const env = { ...process.env };
  // A run of its own, as a user's: not part of the one that this test belongs to.
  delete env[RUN_VARIABLE];
  const main = join(REPOSITORY, "cli/src/main.ts");
  return spawn(process.execPath, [main, "demo", "--rate", "25", ...options], {
    stdio: ["ignore", "pipe", "pipe"],
    env,
  });
}
