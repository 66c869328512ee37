/**
 * A distribution of scores in bins of growing width, with forgetting: the memory of the conformal quantiles. Bins are even
 * in asinh(2 z), so that they are narrow around 0 and reach 22 units; the middle bin stands for exactly 0, so that a
 * series that repeats itself is forecast to the digit.
 */

import { BINS } from "./plan.ts";

const CENTER = BINS / 2;
const BINS_PER_UNIT = 6;
const FORGETTING = 1 / 500;
/** Weights grow instead of being decayed; when they are large, all are scaled back. */
const WEIGHT_MAX = 1e6;
/** What is known before the first score: this many scores of a normal distribution with mean absolute value 1. */
const PRIOR_SCORES = 10;
const PRIOR_DEVIATION = 1.2533;

/** EDGES[i] is where bin i begins. */
const EDGES = Float64Array.from(
  { length: BINS + 1 },
  (_, bin) => Math.sinh((bin - CENTER - 0.5) / BINS_PER_UNIT) / 2,
);

const PRIOR = Float64Array.from({ length: BINS }, (_, bin) => {
  const middle = (EDGES[bin]! + EDGES[bin + 1]!) / 2 / PRIOR_DEVIATION;
  return Math.exp((-middle * middle) / 2) * (EDGES[bin + 1]! - EDGES[bin]!);
});
const PRIOR_TOTAL = PRIOR.reduce((sum, mass) => sum + mass, 0);

/**
 * Where one lies: its bins from `at` on, of which those below `first` are not kept (what would fall there counts in
 * the first), and from `weightAt` on the weight of the next score and the total.
 */
export type Histogram = {
  bins: Float32Array;
  at: number;
  first: number;
  weights: Float64Array;
  weightAt: number;
};

export function resetHistogram(histogram: Histogram, prior = PRIOR_SCORES): void {
  const { bins, at, first, weights, weightAt } = histogram;
  bins.fill(0, at, at + BINS - first);
  for (let bin = 0; bin < BINS; bin += 1) {
    const place = at + Math.max(0, bin - first);
    bins[place] = bins[place]! + (prior * PRIOR[bin]!) / PRIOR_TOTAL;
  }
  weights[weightAt] = 1;
  weights[weightAt + 1] = prior;
}

export function binOf(z: number): number {
  const bin = CENTER + Math.round(BINS_PER_UNIT * Math.asinh(2 * z));
  return bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
}

export function addScore({ bins, at, first, weights, weightAt }: Histogram, z: number): void {
  const weight = weights[weightAt]!;
  const bin = at + Math.max(0, binOf(z) - first);
  bins[bin] = bins[bin]! + weight;
  weights[weightAt + 1] = weights[weightAt + 1]! + weight;
  weights[weightAt] = weight / (1 - FORGETTING);
  if (weight < WEIGHT_MAX) return;
  for (let i = 0; i < BINS - first; i += 1) bins[at + i] = bins[at + i]! / weight;
  weights[weightAt] = 1;
  weights[weightAt + 1] = weights[weightAt + 1]! / weight;
}

/** The scores at ascending `levels`, written to `into` from `intoAt` on; one pass, since levels ask for the same sums. */
export function scoresAt(
  { bins, at, first, weights, weightAt }: Histogram,
  levels: ArrayLike<number>,
  { into, intoAt }: ScoresWanted,
): void {
  const total = weights[weightAt + 1]!;
  let below = 0;
  let bin = first;
  for (let q = 0; q < levels.length; q += 1) {
    const wanted = levels[q]! * total;
    while (bin < BINS && wanted - below > bins[at + bin - first]!) below += bins[at + bin++ - first]!;
    if (bin >= BINS) {
      into[intoAt + q] = EDGES[BINS]!;
      continue;
    }
    const mass = bins[at + bin - first]!;
    const part = mass > 0 ? (wanted - below) / mass : 0.5;
    into[intoAt + q] = bin === CENTER ? 0 : EDGES[bin]! + part * (EDGES[bin + 1]! - EDGES[bin]!);
  }
}

export type ScoresWanted = { into: Float64Array; intoAt: number };

/** The score at `level`: within a bin by interpolation, exactly 0 in the middle one. */
export function scoreAt({ bins, at, first, weights, weightAt }: Histogram, level: number): number {
  let left = level * weights[weightAt + 1]!;
  for (let bin = first; bin < BINS; bin += 1) {
    const mass = bins[at + bin - first]!;
    if (left <= mass) {
      if (bin === CENTER) return 0;
      const part = mass > 0 ? left / mass : 0.5;
      return EDGES[bin]! + part * (EDGES[bin + 1]! - EDGES[bin]!);
    }
    left -= mass;
  }
  return EDGES[BINS]!;
}
