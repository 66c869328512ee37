/**
 * Notices that a curve no longer holds: a new release, another kind of request, a slower disk. Two cumulative sums of how far
 * a signal lies from its curve, in standard deviations, one upward and one downward (Page, Biometrika 41, 1954). Each
 * forgets what is no more than noise; what is left when it passes its bound began where it last was zero.
 */

type Side = { readonly sum: number; readonly since: number };

export type Drift = { readonly up: Side; readonly down: Side };

export type Drifted = {
  /** Index of the first sample after the change. */
  readonly since: number;
};

export const NO_DRIFT: Drift = { up: { sum: 0, since: 0 }, down: { sum: 0, since: 0 } };

/** Standard deviations that are let pass: half of the smallest change worth noticing. */
const LET_PASS = 0.5;
/** Of independent normal noise one alarm in some 70,000 samples: in two days of one instance (Siegmund's formula). */
const SUM_MAX = 10;
/** No single sample counts for more: it takes three to raise the alarm, however odd they are. */
const COUNTS_MAX = 4;

/** `deviation`: in standard deviations; `index`: of the sample, rising. */
export function watchDrift(
  { up, down }: Drift,
  { deviation, index }: { deviation: number; index: number },
): Drift {
  const counted = Math.max(-COUNTS_MAX, Math.min(COUNTS_MAX, deviation));
  return { up: add(up, { gain: counted, index }), down: add(down, { gain: -counted, index }) };
}

/** Undefined while the curve holds. */
export function driftOf({ up, down }: Drift): Drifted | undefined {
  const larger = up.sum >= down.sum ? up : down;
  return larger.sum > SUM_MAX ? { since: larger.since } : undefined;
}

function add({ sum, since }: Side, { gain, index }: { gain: number; index: number }): Side {
  return { sum: Math.max(0, sum + gain - LET_PASS), since: sum === 0 ? index : since };
}
