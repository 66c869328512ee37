/** How good the forecasts of a series have been lately, over all horizons, beside what repeating the last value would have done. */

import type { State } from "./state.ts";

/** Part of the past that each further outcome leaves: about the last 5,000 count. */
const MEMORY = 0.9998;

/** Fields of the part "scores". */
const SCORED = 0;
const WEIGHT = 1;
const COVERED = 2;
const PINBALL = 3;
const PINBALL_LAST = 4;
const ERROR = 5;
const ERROR_LAST = 6;

export type Scores = {
  readonly scored: number;
  /** Pinball loss at the highest level <= 0.95, relative to repeating the last value with no margin; NaN until scored. */
  readonly pinball95: number;
  readonly coverage95: number;
  /** Mean absolute error relative to that of the last value. */
  readonly maeVsLastValue: number;
};

export function pinballLoss(truth: number, quantile: number, level: number): number {
  return truth >= quantile ? level * (truth - quantile) : (1 - level) * (quantile - truth);
}

/** `quantile` is that of the scored level. */
export function addOutcome(
  { numbers, plan }: State,
  series: number,
  { truth, last, mean, quantile }: { truth: number; last: number; mean: number; quantile: number },
): void {
  const at = series * plan.numbers + plan.at.scores;
  const level = plan.levels[plan.scoredLevel]!;
  numbers[at + SCORED] = numbers[at + SCORED]! + 1;
  numbers[at + WEIGHT] = MEMORY * numbers[at + WEIGHT]! + 1;
  numbers[at + COVERED] = MEMORY * numbers[at + COVERED]! + (truth <= quantile ? 1 : 0);
  numbers[at + PINBALL] = MEMORY * numbers[at + PINBALL]! + pinballLoss(truth, quantile, level);
  numbers[at + PINBALL_LAST] = MEMORY * numbers[at + PINBALL_LAST]! + pinballLoss(truth, last, level);
  numbers[at + ERROR] = MEMORY * numbers[at + ERROR]! + Math.abs(truth - mean);
  numbers[at + ERROR_LAST] = MEMORY * numbers[at + ERROR_LAST]! + Math.abs(truth - last);
}

export function readScores({ numbers, plan }: State, series: number): Scores {
  const at = series * plan.numbers + plan.at.scores;
  return {
    scored: numbers[at + SCORED]!,
    pinball95: ratio(numbers[at + PINBALL]!, numbers[at + PINBALL_LAST]!),
    coverage95: ratio(numbers[at + COVERED]!, numbers[at + WEIGHT]!),
    maeVsLastValue: ratio(numbers[at + ERROR]!, numbers[at + ERROR_LAST]!),
  };
}

/** 0 of 0 is no loss against no loss: as good as the last value. */
function ratio(part: number, whole: number): number {
  if (whole > 0) return part / whole;
  return part > 0 ? Number.POSITIVE_INFINITY : Number.NaN;
}
