/**
 * The window of CUBIC (RFC 9438): after a loss a cubic curve in time, flat around where the loss was. We follow it only
 * beside a flow that fills the queue, where whoever follows another law takes too much or too little.
 */

/** RFC 9438: scaling constant in packets per s^3, and what is kept after a loss. */
const SCALE = 0.4;
const KEEP = 0.7;

export interface CubicWindow {
  /** Packets. */
  at(nowMs: number): number;
  /** Where the loss was. */
  readonly peak: number;
  /** When it began. */
  readonly sinceMs: number;
}

/** The window from `nowMs` on, after a loss with `flying` packets in flight; `before` is the one then in force. */
export function cubicWindow(
  flying: number,
  rttMs: number,
  nowMs: number,
  { before, keep = KEEP }: { before?: CubicWindow; keep?: number } = {},
): CubicWindow {
  // Fast convergence: who loses below its last peak makes room for a newcomer.
  const peak = keep < KEEP || (before && flying < before.peak) ? (flying * (1 + keep)) / 2 : flying;
  const start = flying * keep;
  const turnS = Math.cbrt((peak - start) / SCALE);
  /** What Reno would have, per round trip: never less than that (RFC 9438, 4.3). */
  const renoSlope = (3 * (1 - KEEP)) / (1 + KEEP);
  return {
    sinceMs: nowMs,
    peak,
    at(laterMs) {
      const seconds = (laterMs - nowMs + rttMs) / 1000;
      const cubic = SCALE * (seconds - turnS) ** 3 + peak;
      const reno = start + (renoSlope * (laterMs - nowMs)) / rttMs;
      return Math.max(cubic, reno);
    },
  };
}
