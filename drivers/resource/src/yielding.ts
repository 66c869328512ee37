/**
 * A shadow that starts lets those that serve go first: loading a program takes a processor for a second, just when the
 * others are short of it. Linux gives each session of processes its share by itself (autogroups, sched(7)), and anybody
 * may make a session of his own yield and take that back; plain nice values could not be taken back. Where there are no
 * autogroups, as in a container with a limit of its own, nothing happens.
 */

import { writeFileSync } from "node:fs";

/** A tenth of the share of a session that serves. */
const YIELDING_NICE = 10;
const YIELD_MS = 1_500;
/** The kernel takes one change each 100 ms from all users who are not privileged. */
const RETRY_MS = 130;
const ATTEMPTS_MAX = 40;

export function yieldWhileStarting(pid: number): void {
  setShare(pid, YIELDING_NICE, 1);
  setTimeout(() => stopYielding(pid), YIELD_MS).unref();
}

/** Also for what an earlier process of ours started and never took back. */
export function stopYielding(pid: number): void {
  setShare(pid, 0, ATTEMPTS_MAX);
}

function setShare(pid: number, nice: number, attempts: number): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(nice));
  } catch (error) {
    // Gone, not allowed or not there: it then runs as everybody else does.
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || attempts <= 1) return;
    setTimeout(() => setShare(pid, nice, attempts - 1), RETRY_MS).unref();
  }
}
