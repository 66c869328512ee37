/**
 * Values that are exactly the last one, as those of rarely changing series are: half of all samples at one point are not a
 * quantile of anything smooth. Counted are the parts of samples below the last value and equal to it.
 */

import { CLOCK, clock, type State } from "./state.ts";

/** Memory of those parts, in samples. */
const ATOM_RATE = 1 / 200;

/** Whether the last value itself is that quantile: more than half of the samples repeat it, and so many lie below. */
export function isAtom(
  { numbers, singles, plan }: State,
  series: number,
  { h, row, level }: { h: number; row: number; level: number },
): boolean {
  const repeats = singles[row + plan.rowWidth - plan.covariates - 1] === 1;
  const at = series * plan.numbers + plan.at.atoms + 2 * h;
  const [below, equal] = [numbers[at]!, numbers[at + 1]!];
  return repeats && equal > 0.5 && below < level && level < below + equal;
}

export function learnAtoms(
  state: State,
  series: number,
  { h, last, value }: { h: number; last: number; value: number },
): void {
  const { numbers, plan } = state;
  const at = series * plan.numbers + plan.at.atoms + 2 * h;
  const rate = Math.max(ATOM_RATE, 1 / clock(state, series, CLOCK.samples));
  numbers[at] = numbers[at]! + rate * ((value < last ? 1 : 0) - numbers[at]!);
  numbers[at + 1] = numbers[at + 1]! + rate * ((value === last ? 1 : 0) - numbers[at + 1]!);
}
