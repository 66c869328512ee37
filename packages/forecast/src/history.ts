/**
 * The last samples of a series, in a ring of single precision: seven digits are more than a forecast has. Losses can be
 * taken over means of blocks of `block` steps, so that noise does not hide a slow season.
 */

import { HISTORY_STEPS } from "./plan.ts";
import { CLOCK, clock, type State } from "./state.ts";

const MASK = HISTORY_STEPS - 1;

export function pushHistory(state: State, series: number, value: number): void {
  const steps = clock(state, series, CLOCK.steps);
  state.history[series * HISTORY_STEPS + (steps & MASK)] = value;
}

export function historyLength(state: State, series: number): number {
  return Math.min(HISTORY_STEPS, clock(state, series, CLOCK.steps));
}

/** `ago` 0 is the newest; the caller knows that it is there. */
export function historyAt(state: State, series: number, ago: number): number {
  const steps = clock(state, series, CLOCK.steps);
  return state.history[series * HISTORY_STEPS + ((steps - 1 - ago) & MASK)]!;
}

/**
 * Mean absolute change over `lag` steps over the newest `window` samples: the loss that "as it was `lag` steps ago" would
 * have had. NaN when the history is too short for it.
 */
export function change(
  state: State,
  series: number,
  { lag, window, block = 1 }: { lag: number; window: number; block?: number },
): number {
  const blocks = Math.floor(window / block);
  if (blocks < 1 || historyLength(state, series) < lag + window) return Number.NaN;
  const base = series * HISTORY_STEPS;
  let place = clock(state, series, CLOCK.steps) - 1;
  let sum = 0;
  for (let b = 0; b < blocks; b += 1) {
    let inside = 0;
    for (let k = 0; k < block; k += 1, place -= 1) {
      inside += state.history[base + (place & MASK)]! - state.history[base + ((place - lag) & MASK)]!;
    }
    sum += Math.abs(inside);
  }
  return sum / (blocks * block);
}

/** Mean absolute deviation of the newest `window` samples from their own mean: the loss of a constant. */
export function spread(
  state: State,
  series: number,
  { window, block = 1 }: { window: number; block?: number },
): number {
  const blocks = Math.floor(window / block);
  if (blocks < 1 || historyLength(state, series) < window) return Number.NaN;
  const base = series * HISTORY_STEPS;
  const newest = clock(state, series, CLOCK.steps) - 1;
  let total = 0;
  for (let k = 0; k < blocks * block; k += 1) total += state.history[base + ((newest - k) & MASK)]!;
  const mean = total / (blocks * block);
  let place = newest;
  let sum = 0;
  for (let b = 0; b < blocks; b += 1) {
    let inside = 0;
    for (let k = 0; k < block; k += 1, place -= 1) inside += state.history[base + (place & MASK)]! - mean;
    sum += Math.abs(inside);
  }
  return sum / (blocks * block);
}

/** Writes means of blocks of `block` steps to `into`, oldest first; the number of them, at most `into.length`. */
export function decimate(
  state: State,
  series: number,
  { block, into }: { block: number; into: Float32Array },
): number {
  const count = Math.min(into.length, Math.floor(historyLength(state, series) / block));
  const base = series * HISTORY_STEPS;
  let place = clock(state, series, CLOCK.steps) - 1;
  for (let b = count - 1; b >= 0; b -= 1) {
    let sum = 0;
    for (let k = 0; k < block; k += 1, place -= 1) sum += state.history[base + (place & MASK)]!;
    into[b] = sum / block;
  }
  return count;
}
