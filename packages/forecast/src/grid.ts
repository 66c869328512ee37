/**
 * Brings samples with times onto the grid of steps that the engine works on: gaps are filled, repeats, late and impossible
 * samples refused and counted. Nothing is ever thrown for what a sample holds.
 */

import { skip, startSeries, take } from "./engine.ts";
import { GAP_STEPS_MAX, gapStepsMax, passGap } from "./gap.ts";
import { CLOCK, clock, type State, setClock } from "./state.ts";

/** So many late samples in a row mean that the clock was set back, not that they are late. */
export const LATE_IN_ROW_MAX = 8;
export const VALUE_MAX = 1e30;

export type Sample = {
  readonly atMs: number;
  readonly value: number;
  readonly covariates?: readonly number[] | undefined;
};

export function observeSample(
  state: State,
  series: number,
  { stepMs, sample: { atMs, value, covariates } }: { stepMs: number; sample: Sample },
): void {
  const lastMs = clock(state, series, CLOCK.lastMs);
  const begun = !Number.isNaN(lastMs);
  const steps = begun ? Math.round((atMs - lastMs) / stepMs) : 1;
  const lateInRow = steps < 1 ? clock(state, series, CLOCK.lateInRow) + 1 : 0;
  setClock(state, series, CLOCK.lateInRow, lateInRow);
  if (
    !Number.isFinite(atMs) ||
    !(Math.abs(value) <= VALUE_MAX) ||
    (steps < 1 && lateInRow < LATE_IN_ROW_MAX)
  ) {
    setClock(state, series, CLOCK.refused, clock(state, series, CLOCK.refused) + 1);
    return;
  }
  const forgets = steps > gapStepsMax(state, series);
  if (forgets) restartSeries(state, series);
  else if (steps > GAP_STEPS_MAX) passGap(state, series, { steps, value });
  else for (let step = 1; step < steps; step += 1) skip(state, series);
  // Times are kept on the grid of steps, or jitter would add up; after a jump a new grid begins.
  const jumped = !begun || steps < 1 || forgets;
  setClock(state, series, CLOCK.lateInRow, 0);
  setClock(state, series, CLOCK.lastMs, jumped ? atMs : lastMs + steps * stepMs);
  take(state, series, value, covariates);
}

/** What was learnt is forgotten; what was asked for and what was counted stays. */
function restartSeries(state: State, series: number): void {
  const kept = [CLOCK.refused, CLOCK.threshold].map((field) => [field, clock(state, series, field)] as const);
  startSeries(state, series);
  for (const [field, value] of kept) setClock(state, series, field, value);
}
