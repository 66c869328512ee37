/** How good the forecasts have been lately, over all horizons, beside what repeating the last value would have done. */

import type { Outcome } from "./horizon.ts";

/** Part of the past that each further outcome leaves: about the last 5,000 count. */
const MEMORY = 0.9998;
const LEVEL = 0.95;

export type Scores = {
  add(outcome: Outcome): void;
  read(): { scored: number; pinball95: number; coverage95: number; maeVsLastValue: number };
};

export function pinballLoss(truth: number, quantile: number, level: number): number {
  return truth >= quantile ? level * (truth - quantile) : (1 - level) * (quantile - truth);
}

export function createScores(levels: readonly number[]): Scores {
  // The highest level <= 0.95, or the lowest there is.
  const index = Math.max(
    0,
    levels.findLastIndex((level) => level <= LEVEL),
  );
  const level = levels[index]!;
  const sums = { pinball: 0, pinballLast: 0, covered: 0, weight: 0, error: 0, errorLast: 0 };
  let scored = 0;

  return {
    add({ truth, last, mean, quantiles }) {
      const quantile = quantiles[index]!;
      scored += 1;
      sums.weight = MEMORY * sums.weight + 1;
      sums.covered = MEMORY * sums.covered + (truth <= quantile ? 1 : 0);
      sums.pinball = MEMORY * sums.pinball + pinballLoss(truth, quantile, level);
      sums.pinballLast = MEMORY * sums.pinballLast + pinballLoss(truth, last, level);
      sums.error = MEMORY * sums.error + Math.abs(truth - mean);
      sums.errorLast = MEMORY * sums.errorLast + Math.abs(truth - last);
    },
    read: () => ({
      scored,
      pinball95: ratio(sums.pinball, sums.pinballLast),
      coverage95: ratio(sums.covered, sums.weight),
      maeVsLastValue: ratio(sums.error, sums.errorLast),
    }),
  };
}

/** 0 of 0 is no loss against no loss: as good as the last value. */
function ratio(part: number, whole: number): number {
  if (whole > 0) return part / whole;
  return part > 0 ? Number.POSITIVE_INFINITY : Number.NaN;
}
