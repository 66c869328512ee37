/** Where the forecasts and rows of one series lie. A horizon of n steps has n slots: one for each forecast that waits for its sample. */

import { HIGH, LOW, MIDDLE } from "./plan.ts";
import { CLOCK, clock, type State } from "./state.ts";

export function slotOf({ plan }: State, series: number, { h, steps }: { h: number; steps: number }): number {
  return (
    series * plan.singles +
    plan.in.slots +
    (plan.firstSlot[h]! + (steps % plan.horizons[h]!)) * plan.slotWidth
  );
}

export function rowOf({ plan }: State, series: number, steps: number): number {
  return series * plan.singles + plan.in.rows + (steps % plan.rows) * plan.rowWidth;
}

/** Index in `singles` of the newest forecast of horizon `h`. */
export function newestSlot(state: State, series: number, h: number): number {
  return slotOf(state, series, { h, steps: clock(state, series, CLOCK.steps) });
}

export function newestRow(state: State, series: number): number {
  return rowOf(state, series, clock(state, series, CLOCK.steps));
}

/** Which of the season's curves a level starts from. */
export function baseOf(level: number): number {
  return level > 0.5 ? HIGH : level < 0.5 ? LOW : MIDDLE;
}
