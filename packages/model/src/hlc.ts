/**
 * Hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014): wall time that never goes backwards along a
 * chain of causes. A value far ahead of our own wall clock is refused, or one wrong clock would drag all others along.
 */

export type Hlc = { readonly wallMs: number; readonly counter: number };

export const HLC_ZERO: Hlc = { wallMs: 0, counter: 0 };
export const HLC_DRIFT_MAX_MS = 60_000;
const COUNTER_MAX = 0xffff_ffff;

export function compareHlc(a: Hlc, b: Hlc): number {
  return a.wallMs - b.wallMs || a.counter - b.counter;
}

/** The next timestamp for something that happens here, now. */
export function tickHlc(last: Hlc, nowMs: number): Hlc {
  const wallMs = Math.floor(nowMs);
  if (wallMs > last.wallMs) return { wallMs, counter: 0 };
  if (last.counter >= COUNTER_MAX) return { wallMs: last.wallMs + 1, counter: 0 };
  return { wallMs: last.wallMs, counter: last.counter + 1 };
}

export type Merge =
  | { readonly accepted: true; readonly hlc: Hlc }
  | { readonly accepted: false; readonly aheadMs: number };

/** The next timestamp after having seen `seen`; refused when `seen` is ahead of the wall clock by more than `driftMaxMs`. */
export function mergeHlc(
  last: Hlc,
  seen: Hlc,
  { nowMs, driftMaxMs = HLC_DRIFT_MAX_MS }: { nowMs: number; driftMaxMs?: number },
): Merge {
  const aheadMs = seen.wallMs - nowMs;
  if (aheadMs > driftMaxMs) return { accepted: false, aheadMs };
  return { accepted: true, hlc: tickHlc(compareHlc(seen, last) > 0 ? seen : last, nowMs) };
}
