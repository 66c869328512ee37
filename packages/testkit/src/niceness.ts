/**
 * Who goes first when a machine has too little processor for all: what decides and carries traffic, before what keeps
 * copies of it, before the workload. Elsewhere CPU requests or systemd's CPUWeight say it (docs/operations.md).
 */

import { writeFileSync } from "node:fs";

/** As of nice(1); the workload has 0. */
export const NICENESS = { traffic: -10, replication: -5 } as const;

/**
 * Sets it for the session of processes that `pid` leads: Linux gives each session its share (sched(7), autogroups). It
 * takes the administrator's right; without it, or on another system, all are alike.
 */
export function setNiceness(pid: number, niceness: number): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, String(niceness));
  } catch {
    // What it costs is measured: benches and the demo report how late everything is.
  }
}
