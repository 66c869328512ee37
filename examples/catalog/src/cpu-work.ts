/**
 * Work that costs processor time and nothing else. It is counted in time that this thread was given, not in time that
 * passed: under a quota the thread waits its turn, and the same request must not become cheaper for it.
 */

import { createHash } from "node:crypto";

const PIECE = Buffer.alloc(4096, "catalog");
const US_PER_MS = 1000;

/** Returns the processor time it took, in ms. */
export function burnCpu(ms: number): number {
  const fromUs = usedUs();
  let tookUs = 0;
  while (tookUs < ms * US_PER_MS) {
    createHash("sha256").update(PIECE).digest();
    tookUs = usedUs() - fromUs;
  }
  return tookUs / US_PER_MS;
}

function usedUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
