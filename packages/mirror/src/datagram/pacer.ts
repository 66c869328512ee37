/**
 * Spreads packets over time: a bucket that fills at the pacing rate and holds little, so that a timer which comes late
 * may catch up with a short burst and never with a long one. Time is passed in.
 */

/** What may have gathered while the timer slept, in time at the rate; a timer of 1 ms comes within 3 nearly always. */
const BUCKET_MS = 8;
const BUCKET_PACKETS_MIN = 4;

export interface Pacer {
  /** Packets that may go now. `rate` in packets per ms. */
  allowance(nowMs: number, rate: number): number;
  spend(packets: number): void;
  /** We were not asked for longer than the bucket holds: less has left than the rate would have had. */
  readonly wasLate: boolean;
}

export function pacer(): Pacer {
  let [held, atMs, wasLate] = [BUCKET_PACKETS_MIN, Number.NaN, false];
  return {
    allowance(nowMs, rate) {
      if (Number.isNaN(atMs)) atMs = nowMs;
      wasLate = nowMs - atMs > BUCKET_MS;
      held = Math.min(held + (nowMs - atMs) * rate, Math.max(BUCKET_PACKETS_MIN, BUCKET_MS * rate));
      atMs = nowMs;
      return Math.max(0, Math.floor(held));
    },
    spend(packets) {
      held -= packets;
    },
    get wasLate() {
      return wasLate;
    },
  };
}
