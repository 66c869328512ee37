/**
 * Processor time that the demo's own processes have used, so that what others used can be told apart. Sampled every two
 * seconds: a process that ended in between is missing its last moments, which makes the machine look busier, never idler.
 */

import { readFileSync } from "node:fs";
import { findRunProcesses } from "@understudy/testkit/run-processes";

const SAMPLE_EVERY_MS = 2_000;

export type OwnTicks = { total(): number; close(): void };

export function watchOwnTicks(runId: string): OwnTicks {
  const most = new Map<string, number>();
  const sample = () => {
    for (const pid of [process.pid, ...findRunProcesses(runId)]) {
      const seen = ticksOf(pid);
      if (seen) most.set(`${pid}/${seen.startTicks}`, seen.ticks);
    }
  };
  sample();
  const timer = setInterval(sample, SAMPLE_EVERY_MS);
  return {
    total: () => {
      sample();
      return [...most.values()].reduce((sum, ticks) => sum + ticks, 0);
    },
    close: () => clearInterval(timer),
  };
}

/** User and system time in clock ticks, and the start that names the process beyond reuse of its number. */
function ticksOf(pid: number): { ticks: number; startTicks: string } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name in parentheses may hold spaces: fields are counted from behind it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { ticks: Number(fields[11]) + Number(fields[12]), startTicks: fields[19]! };
  } catch {
    // It ended between the listing and now.
    return undefined;
  }
}
