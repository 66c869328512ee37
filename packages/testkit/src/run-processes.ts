/**
 * The processes of a run, however they came to be: each carries `UNDERSTUDY_RUN=<id>` in its environment, which children
 * inherit. So an instance that a replicator started in its own process group is found as well, even when the replicator is gone.
 */

import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export const RUN_VARIABLE = "UNDERSTUDY_RUN";

const EVERY_MS = 25;
const KILL_ROUNDS_MAX = 200;

/** Ids of the run's living processes; the caller itself never counts. */
export function findRunProcesses(runId: string): number[] {
  const wanted = `\0${RUN_VARIABLE}=${runId}\0`;
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter(
      (pid) => pid !== process.pid && `\0${readProcess(pid, "environ")}`.includes(wanted) && !isZombie(pid),
    );
}

/** Ends every process of the run: TERM, then KILL for those left after the grace. */
export async function endRunProcesses(runId: string, { graceMs }: { graceMs: number }): Promise<void> {
  const untilMs = performance.now() + graceMs;
  const asked = new Set<number>();
  while (performance.now() < untilMs) {
    const pids = findRunProcesses(runId);
    if (pids.length === 0) return;
    // A process that starts while we end the others is asked as well.
    for (const pid of pids) if (!asked.has(pid)) signal(pid, "SIGTERM");
    for (const pid of pids) asked.add(pid);
    await sleep(EVERY_MS);
  }
  for (let round = 0; round < KILL_ROUNDS_MAX; round += 1) {
    const pids = findRunProcesses(runId);
    if (pids.length === 0) return;
    for (const pid of pids) signal(pid, "SIGKILL");
    await sleep(EVERY_MS);
  }
  throw new Error(`processes of run ${runId} survive SIGKILL: ${findRunProcesses(runId).join(" ")}`);
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function isZombie(pid: number): boolean {
  const stat = readProcess(pid, "stat");
  return stat === "" || stat.slice(stat.lastIndexOf(")") + 2).startsWith("Z");
}

/** Empty for a process that is gone, or another user's. */
function readProcess(pid: number, file: "environ" | "stat"): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}
