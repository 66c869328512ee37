/**
 * Numbers that come with each sample and may tell what the next ones will be. The regression sees how far each lies from
 * its own slow mean, in usual deviations; one that is missing or not finite counts as usual, so that a covariate that
 * vanishes takes nothing with it.
 */

import type { State } from "./state.ts";

const MEAN_RATE = 0.03;
const DEVIATION_MAX = 10;
const SIZE_MAX = 1e30;
/** Fields of each covariate; a deviation of 0 says that none was seen yet. */
const MEAN = 0;
const DEVIATION = 1;
const NEWEST = 2;
const WIDTH = 3;

export function observeCovariates(
  { plan, numbers }: State,
  series: number,
  values: readonly number[] | undefined,
): void {
  for (let c = 0; c < plan.covariates; c += 1) {
    const at = series * plan.numbers + plan.at.covariates + WIDTH * c;
    const value = values?.[c];
    if (value === undefined || !(Math.abs(value) <= SIZE_MAX)) {
      numbers[at + NEWEST] = 0;
      continue;
    }
    const first = numbers[at + DEVIATION] === 0 && numbers[at + MEAN] === 0;
    const off = first ? 0 : value - numbers[at + MEAN]!;
    const usual = numbers[at + DEVIATION]!;
    numbers[at + NEWEST] = usual > 0 ? Math.max(-DEVIATION_MAX, Math.min(DEVIATION_MAX, off / usual)) : 0;
    numbers[at + MEAN] = first ? value : numbers[at + MEAN]! + MEAN_RATE * off;
    numbers[at + DEVIATION] = usual > 0 ? usual + MEAN_RATE * (Math.abs(off) - usual) : Math.abs(off);
  }
}

export function writeCovariates({ plan, numbers, singles }: State, series: number, row: number): void {
  const from = row + plan.rowWidth - plan.covariates;
  for (let c = 0; c < plan.covariates; c += 1) {
    singles[from + c] = numbers[series * plan.numbers + plan.at.covariates + WIDTH * c + NEWEST]!;
  }
}
