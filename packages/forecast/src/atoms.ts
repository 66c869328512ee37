/**
 * Values that are exactly the last one, as those of rarely changing series are: half of all samples at one point are not a
 * quantile of anything smooth. Counted are the parts of samples below the last value and equal to it.
 */

import { EXPERT, SLOT } from "./plan.ts";
import type { Made } from "./slots.ts";
import { CLOCK, clock, type State } from "./state.ts";

/** Memory of those parts, in samples. */
const ATOM_RATE = 1 / 200;

/** Whether the last value, if it repeated the one before, is itself that quantile: more than half of the samples do, and so many lie below. */
export function isAtom({ numbers, plan }: State, series: number, { h }: Made, level: number): boolean {
  const at = series * plan.numbers + plan.at.atoms + 2 * h;
  const [below, equal] = [numbers[at]!, numbers[at + 1]!];
  return equal > 0.5 && below < level && level < below + equal;
}

/** From a forecast whose sample has come, made after one that repeated the one before. */
export function learnAtoms(state: State, series: number, { h, slot, value }: Made): void {
  const { numbers, singles, plan } = state;
  const last = singles[slot + SLOT.experts + EXPERT.last]!;
  const single = Math.fround(value);
  const at = series * plan.numbers + plan.at.atoms + 2 * h;
  const rate = Math.min(1, plan.strides[h]! * Math.max(ATOM_RATE, 1 / clock(state, series, CLOCK.samples)));
  numbers[at] = numbers[at]! + rate * ((single < last ? 1 : 0) - numbers[at]!);
  numbers[at + 1] = numbers[at + 1]! + rate * ((single === last ? 1 : 0) - numbers[at + 1]!);
}
