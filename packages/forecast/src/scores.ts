/** How good the forecasts of a series have been lately, over all horizons, beside what repeating the last value would have done. */

import { EXPERT, SCORE_FIELDS, SLOT } from "./plan.ts";
import type { Made } from "./slots.ts";
import type { State } from "./state.ts";

/** Part of the past that each further outcome leaves: about the last 5,000 count. */
const MEMORY = 0.9998;

/** Fields of the part "scores"; from COVERED on there is one for each level. */
const SCORED = 0;
const WEIGHT = 1;
const PINBALL = 2;
const PINBALL_LAST = 3;
const ERROR = 4;
const ERROR_LAST = 5;
const COVERED = SCORE_FIELDS;

export type Scores = {
  readonly scored: number;
  /** Pinball loss at the highest level <= 0.95, relative to repeating the last value with no margin; NaN until scored. */
  readonly pinball95: number;
  readonly coverage95: number;
  /** Part of the truths at or below the quantile of each level; calibrated is what is near its level. */
  readonly coverage: readonly number[];
  /** Mean absolute error relative to that of the last value. */
  readonly maeVsLastValue: number;
};

export function pinballLoss(truth: number, quantile: number, level: number): number {
  return truth >= quantile ? level * (truth - quantile) : (1 - level) * (quantile - truth);
}

/** A forecast whose sample has come. */
export function addOutcome(
  { numbers, singles, plan }: State,
  series: number,
  { slot, value: truth }: Made,
): void {
  const last = singles[slot + SLOT.experts + EXPERT.last]!;
  const mean = singles[slot + SLOT.center]!;
  const quantiles = slot + SLOT.quantiles;
  const at = series * plan.numbers + plan.at.scores;
  const level = plan.levels[plan.scoredLevel]!;
  const quantile = singles[quantiles + plan.scoredLevel]!;
  numbers[at + SCORED] = numbers[at + SCORED]! + 1;
  numbers[at + WEIGHT] = MEMORY * numbers[at + WEIGHT]! + 1;
  numbers[at + PINBALL] = MEMORY * numbers[at + PINBALL]! + pinballLoss(truth, quantile, level);
  numbers[at + PINBALL_LAST] = MEMORY * numbers[at + PINBALL_LAST]! + pinballLoss(truth, last, level);
  numbers[at + ERROR] = MEMORY * numbers[at + ERROR]! + Math.abs(truth - mean);
  numbers[at + ERROR_LAST] = MEMORY * numbers[at + ERROR_LAST]! + Math.abs(truth - last);
  // In single precision as the quantiles are: a truth that is exactly the quantile lies at it.
  const single = Math.fround(truth);
  for (let q = 0; q < plan.levels.length; q += 1) {
    numbers[at + COVERED + q] =
      MEMORY * numbers[at + COVERED + q]! + (single <= singles[quantiles + q]! ? 1 : 0);
  }
}

export function readScores({ numbers, plan }: State, series: number): Scores {
  const at = series * plan.numbers + plan.at.scores;
  const coverage = plan.levels.map((_, q) => ratio(numbers[at + COVERED + q]!, numbers[at + WEIGHT]!));
  return {
    scored: numbers[at + SCORED]!,
    pinball95: ratio(numbers[at + PINBALL]!, numbers[at + PINBALL_LAST]!),
    coverage95: coverage[plan.scoredLevel]!,
    coverage,
    maeVsLastValue: ratio(numbers[at + ERROR]!, numbers[at + ERROR_LAST]!),
  };
}

/** 0 of 0 is no loss against no loss: as good as the last value. */
function ratio(part: number, whole: number): number {
  if (whole > 0) return part / whole;
  return part > 0 ? Number.POSITIVE_INFINITY : Number.NaN;
}
