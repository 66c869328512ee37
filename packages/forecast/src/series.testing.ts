/** A state with one series for the tests of parts of the engine. */

import { startSeries, take } from "./engine.ts";
import { pushHistory } from "./history.ts";
import { createPlan } from "./plan.ts";
import { CLOCK, clock, createState, type State, setClock } from "./state.ts";

export function emptyState(horizons: readonly number[] = [1, 5], covariates = 0): State {
  const plan = createPlan({ horizons, levels: [0.5, 0.9, 0.95, 0.99], covariates, falseAlarmBudget: 0.01 });
  const state = createState(plan, 1);
  startSeries(state, 0);
  return state;
}

/** Only the history knows the samples. */
export function stateWithHistory(values: Iterable<number>): State {
  const state = emptyState();
  for (const value of values) push(state, value);
  return state;
}

export function push(state: State, value: number): void {
  pushHistory(state, 0, value);
  setClock(state, 0, CLOCK.steps, clock(state, 0, CLOCK.steps) + 1);
}

/** All of the engine has seen the samples. */
export function stateAfter(values: Iterable<number>, horizons: readonly number[] = [1, 5]): State {
  const state = emptyState(horizons);
  for (const value of values) take(state, 0, value);
  return state;
}

export function series(length: number, value: (step: number) => number): number[] {
  return Array.from({ length }, (_, step) => value(step));
}
