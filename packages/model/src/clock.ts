/** The two clocks a shell passes to its core. Cores take times as numbers and never read a clock themselves. */

import { readFileSync } from "node:fs";

export interface Clock {
  /** Wall time in ms since 1970, for people and for HLCs. */
  nowMs(): number;
  /**
   * Ms since the machine booted, suspension included: the only clock that leases may be measured on.
   * (Node's own monotonic clock stands still while the machine is suspended, so a lease would look younger than it is.)
   */
  bootMs(): number;
}

const UPTIME = "/proc/uptime";

function readBootMs(): number {
  return Math.round(Number.parseFloat(readFileSync(UPTIME, "latin1")) * 1000);
}

/** The real clocks. Boot time has the 10 ms resolution of /proc/uptime. Throws where there is no /proc. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  bootMs: readBootMs,
};
