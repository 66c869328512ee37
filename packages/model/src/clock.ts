/** The two clocks a shell passes to its core. Cores take times as numbers and never read a clock themselves. */

export interface Clock {
  /** Wall time in ms since 1970, for people and for HLCs. */
  nowMs(): number;
  /**
   * Ms since the machine booted, suspension included: the only clock that leases may be measured on.
   * (Node's own monotonic clock stands still while the machine is suspended, so a lease would look younger than it is.)
   */
  bootMs(): number;
}
