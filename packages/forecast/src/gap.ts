/**
 * A time without samples that is too long to step through. What is known *about* a series outlives it: its season, whose
 * phase moves on with the clock, which experts to trust, how large errors are. What was said *of* the time before does not:
 * levels, trends, the last samples, forecasts that wait. The work is the same however long it was.
 */

import { forgetTicks } from "./alarm.ts";
import { SMOOTHERS } from "./plan.ts";
import { leapSeason, seasonPeriod } from "./season.ts";
import { observeSmoothers } from "./smoothers.ts";
import { CLOCK, clock, type State, setClock } from "./state.ts";

/** A gap of so many steps is stepped through; what comes after a longer one starts anew, unless there is a season. */
export const GAP_STEPS_MAX = 512;
/** So many cycles a season is believed in that nobody sees: a period is found to a step, so its phase drifts apart by then. */
export const GAP_CYCLES_MAX = 64;
/** Cycles to be seen before a season outlives a gap, and before it is judged after one: less says nothing about it. */
const CYCLES_SEEN_MIN = 2;

/** Steps without a sample after which the series starts anew. */
export function gapStepsMax(state: State, series: number): number {
  const period = seasonPeriod(state, series);
  const isKnown = period > 0 && clock(state, series, CLOCK.steps) >= CYCLES_SEEN_MIN * period;
  return isKnown ? Math.max(GAP_STEPS_MAX, GAP_CYCLES_MAX * period) : GAP_STEPS_MAX;
}

/** `value` is the next sample, `steps` after the last one: the caller takes it afterwards. */
export function passGap(
  state: State,
  series: number,
  { steps, value }: { steps: number; value: number },
): void {
  const { numbers, plan } = state;
  leapSeason(state, series, steps - 1);
  const smoothers = series * plan.numbers + plan.at.smoothers;
  numbers.fill(0, smoothers, smoothers + SMOOTHERS);
  observeSmoothers(state, series, { value, first: true });
  forgetTicks(state, series);
  setClock(state, series, CLOCK.lastValue, value);
  // The history, the windows and the slots are counted from the first step again, so that nothing in them is read.
  setClock(state, series, CLOCK.steps, 0);
  setClock(state, series, CLOCK.nextScan, CYCLES_SEEN_MIN * seasonPeriod(state, series));
}
