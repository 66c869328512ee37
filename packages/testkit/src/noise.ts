/** How noisy the machine was during a measurement: stolen time and the load of everybody else, from /proc/stat. */

import { readFileSync } from "node:fs";

export type Noise = {
  /** Share of all processor time that the hypervisor took away, 0..1. */
  readonly stealShare: number;
  /** Share of all processor time used by processes that are not ours, 0..1. */
  readonly otherShare: number;
  readonly load1: number;
};

/** DESIGN: above this a timed run is invalid. */
export const NOISE_SHARE_MAX = 0.2;

type Ticks = { readonly total: number; readonly busy: number; readonly steal: number };

function readTicks(): Ticks {
  const [first] = readFileSync("/proc/stat", "latin1").split("\n", 1);
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, soft = 0, steal = 0] = first!
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const busy = user + nice + system + irq + soft;
  return { total: busy + idle + wait + steal, busy, steal };
}

/** `ownTicks` says how many clock ticks our own processes have used so far. */
export function startNoise(ownTicks: () => number = () => 0): () => Noise {
  const before = readTicks();
  const ownBefore = ownTicks();
  return () => {
    const now = readTicks();
    const total = Math.max(1, now.total - before.total);
    const own = ownTicks() - ownBefore;
    return {
      stealShare: (now.steal - before.steal) / total,
      otherShare: Math.max(0, now.busy - before.busy - own) / total,
      load1: Number(readFileSync("/proc/loadavg", "latin1").split(" ", 1)[0]),
    };
  };
}
