/**
 * Turns shares into a load balancer's small integers. Rounding each share to a 256th is off by up to 0.2 points for every
 * server; choosing the total as well finds integers whose *ratios* are as close as they can be.
 */

import { PPM } from "@understudy/model/share";

/** The largest weight of an HAProxy server. */
export const WEIGHT_MAX = 256;

export type Weights = {
  readonly weights: readonly number[];
  /** What the weights amount to. */
  readonly setPpm: readonly number[];
};

/**
 * The integers in 0..`weightMax` whose shares are closest to `sharesPpm` in their largest deviation; of equally close
 * ones the smallest, because a round of the balancer is then short. All zero in, all zero out.
 */
export function bestWeights(sharesPpm: readonly number[], weightMax = WEIGHT_MAX): Weights {
  const total = sharesPpm.reduce((sum, share) => sum + share, 0);
  const largest = Math.max(0, ...sharesPpm);
  if (!(total > 0)) return { weights: sharesPpm.map(() => 0), setPpm: sharesPpm.map(() => 0) };
  let best: { weights: number[]; error: number } | undefined;
  // The largest share takes each possible weight once; the others follow from it.
  for (let top = 1; top <= weightMax; top += 1) {
    const weights = sharesPpm.map((share) => Math.round((share / largest) * top));
    const error = largestDeviation(weights, sharesPpm, total);
    // Less by a rounding error is not less.
    if (!best || error < best.error - 1e-9) best = { weights, error };
  }
  return { weights: best!.weights, setPpm: sharesOf(best!.weights) };
}

function largestDeviation(
  weights: readonly number[],
  sharesPpm: readonly number[],
  totalPpm: number,
): number {
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return Math.max(...weights.map((weight, index) => Math.abs(weight / sum - sharesPpm[index]! / totalPpm)));
}

/** What weights amount to, in ppm; not forced to add up exactly, for it is a report. */
export function sharesOf(weights: readonly number[]): number[] {
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return weights.map((weight) => (sum > 0 ? Math.round((weight / sum) * PPM) : 0));
}
