/**
 * Ends everything that an instance started: its process group, and what has moved to another group of its session.
 * The end counts only when /proc shows nobody left, because a signal that was sent has not yet been obeyed.
 */

import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { FenceResult } from "./driver.ts";
import { canRun, listPids, type ProcessName, type ProcStat, readProcStat } from "./proc-stat.ts";

const CONFIRM_POLL_MS = 1;

/** `mark` is an entry of the environment that only this start of this instance was given. */
export type GroupName = ProcessName & { readonly mark: string };

/**
 * Members that can still run. While the leader lives, its whole group is ours. Once it is gone, a member is ours when its
 * environment says so: the number of an empty group can be used again by a stranger.
 */
export function livingMembers(group: GroupName): { ours: ProcStat[]; unknown: ProcStat[] } {
  const leader = readProcStat(group.pid);
  if (leader && leader.startTicks !== group.pidStartTicks) return { ours: [], unknown: [] };
  const living = listPids()
    .map(readProcStat)
    .filter((stat): stat is ProcStat => stat !== undefined && canRun(stat))
    .filter((stat) => stat.group === group.pid || stat.session === group.pid);
  if (leader) return { ours: living, unknown: [] };
  const ours = living.filter((stat) => isMarked(stat.pid, group.mark));
  return { ours, unknown: living.filter((stat) => !ours.includes(stat)) };
}

/** The leader of the group that was started with this mark. */
export function findLeader(mark: string): ProcStat | undefined {
  for (const pid of listPids()) {
    const stat = readProcStat(pid);
    if (stat && canRun(stat) && stat.group === pid && isMarked(pid, mark)) return stat;
  }
  return undefined;
}

/**
 * Sends SIGKILL and waits until nobody is left, or `withinMs` has passed. This is on the way of every failover, and a look
 * through /proc takes milliseconds on a full host: it looks twice only where somebody could have forked in between.
 */
export async function killGroup(group: GroupName, withinMs: number): Promise<FenceResult> {
  const startedMs = performance.now();
  // The whole group at one stroke of the kernel: no fork of a member slips through.
  const struck = signalGroup(group, "SIGKILL");
  for (;;) {
    const { ours, unknown } = livingMembers(group);
    if (ours.length === 0 && unknown.length > 0) {
      return { confirmed: false, why: `processes ${pidsOf(unknown)} are in its group and may be its own` };
    }
    for (const member of ours) signal(member.pid, "SIGKILL");
    while (ours.some(stillRuns)) {
      if (performance.now() - startedMs > withinMs) {
        const left = ours.filter(stillRuns);
        return { confirmed: false, why: `processes ${pidsOf(left)} still run ${withinMs} ms after SIGKILL` };
      }
      await sleep(CONFIRM_POLL_MS);
    }
    const allStruck = struck && ours.every((member) => member.group === group.pid);
    if (ours.length === 0 || allStruck) {
      const tookMs = performance.now() - startedMs;
      return { confirmed: true, how: `process group gone ${tookMs.toFixed(1)} ms after SIGKILL` };
    }
  }
}

/** False, and nothing happens, when the group is gone or its number belongs to somebody else. */
export function signalGroup(group: ProcessName, name: NodeJS.Signals): boolean {
  if (readProcStat(group.pid)?.startTicks !== group.pidStartTicks) return false;
  signal(-group.pid, name);
  return true;
}

function signal(target: number, name: NodeJS.Signals): void {
  try {
    process.kill(target, name);
  } catch (error) {
    // Gone between the look and the signal: what we wanted.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function stillRuns(member: ProcStat): boolean {
  const now = readProcStat(member.pid);
  return now !== undefined && now.startTicks === member.startTicks && canRun(now);
}

function isMarked(pid: number, mark: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(mark);
  } catch {
    // Gone, or another user's: not one that we started.
    return false;
  }
}

function pidsOf(stats: readonly ProcStat[]): string {
  return stats.map((stat) => stat.pid).join(", ");
}
