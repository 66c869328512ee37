/**
 * Where the forecasts of one series lie. Of each horizon one forecast in `stride` is learnt from; it waits in a slot until
 * its sample comes. Forecasts between two of those lie where the next of them will, each over the one before.
 */

import { WAIT_WIDTH } from "./plan.ts";
import { CLOCK, clock, type State } from "./state.ts";

/** One forecast of one horizon, where its parts lie, and the sample it was made for once that is known. */
export type Made = { h: number; steps: number; slot: number; value: number };

/** The slot of a forecast that is learnt from, or of the newest. */
export function slotOf({ plan }: State, series: number, { h, steps }: { h: number; steps: number }): number {
  const place = Math.ceil(steps / plan.strides[h]!) % plan.slotCounts[h]!;
  return series * plan.singles + plan.in.slots + (plan.firstSlot[h]! + place) * plan.slotWidth;
}

/** Where the center of each forecast waits for its error. */
export function waitOf({ plan }: State, series: number, { h, steps }: { h: number; steps: number }): number {
  const place = plan.firstWait[h]! + (steps % plan.horizons[h]!);
  return series * plan.singles + plan.in.waits + WAIT_WIDTH * place;
}

/** Index in `singles` of the newest forecast of horizon `h`. */
export function newestSlot(state: State, series: number, h: number): number {
  return slotOf(state, series, { h, steps: clock(state, series, CLOCK.steps) });
}

/** What is known at the newest step that had a sample. */
export function rowOf({ plan }: State, series: number): number {
  return series * plan.singles + plan.in.row;
}
