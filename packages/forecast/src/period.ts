/**
 * Finds the period of a series by the average magnitude difference (Ross et al., 1974; normalised by what lies before it
 * as in YIN, de Cheveigne & Kawahara, 2002): the mean change over a lag is exactly the loss of the seasonal naive
 * forecast, so the lag with the least change is the period worth trying. A scan is made now and then, not at every tick,
 * over the newest samples one by one and over all of the history in means of blocks, which also takes noise out of days.
 */

import { change, decimate, historyLength } from "./history.ts";
import { PERIOD_MAX_STEPS } from "./plan.ts";
import type { State } from "./state.ts";

export const PERIOD_MIN_STEPS = 6;
/** Points of one scan. */
const SCAN_POINTS = 512;
const WINDOW_MIN_STEPS = 24;
/** A multiple of a period is as good as the period itself, up to noise: a whole part within this of the best is taken. */
const PART_WITHIN = 1.6;

const points = new Float32Array(SCAN_POINTS);
const losses = new Float32Array(SCAN_POINTS);

/** Loss of a period is judged over one cycle, or over the part of it there is when it is more than half. */
export function periodWindow(lag: number, length: number): number {
  const window = Math.min(Math.max(lag, WINDOW_MIN_STEPS), length - lag);
  return window * 2 >= lag && window * 2 >= WINDOW_MIN_STEPS ? window : 0;
}

/**
 * What part of another loss the loss of a season must stay below to be believed, when both are means over `window`
 * steps: chance makes deep valleys in short windows, so two bursts must look very much alike, a week of days need not.
 */
export function believableBelow(window: number): number {
  return Math.max(0.25, 0.85 - 2.5 / Math.sqrt(window));
}

/** The candidates in steps: of the newest samples, and of the whole history in blocks; 0 for none. */
export function findPeriods(state: State, series: number): { near: number; far: number } {
  const length = historyLength(state, series);
  const near = scan(state, series, 1);
  const block = 2 ** Math.ceil(Math.log2(Math.max(1, length / SCAN_POINTS)));
  if (block === 1) return { near, far: 0 };
  const coarse = scan(state, series, block);
  return { near, far: coarse === 0 ? 0 : refine(state, series, { lag: coarse * block, block }) };
}

function scan(state: State, series: number, block: number): number {
  const length = decimate(state, series, { block, into: points });
  let lag = 1;
  for (; lag * block <= PERIOD_MAX_STEPS; lag += 1) {
    const window = periodWindow(lag, length);
    if (window === 0) break;
    let sum = 0;
    for (let i = length - window; i < length; i += 1) sum += Math.abs(points[i]! - points[i - lag]!);
    losses[lag] = sum / window;
  }
  return deepestValley(lag - 1, length);
}

/** The best lag near the one that a scan in blocks has found. */
function refine(state: State, series: number, { lag, block }: { lag: number; block: number }): number {
  const length = historyLength(state, series);
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  for (let near = lag - block; near <= Math.min(lag + block, PERIOD_MAX_STEPS); near += 1) {
    const loss = change(state, series, {
      lag: near,
      window: periodWindow(near, length),
      block: Math.ceil(block / 2),
    });
    if (loss < least) [least, best] = [loss, near];
  }
  return best;
}

/**
 * Of lags 1..`last`, the one with the deepest valley, or a whole part of it that is a valley nearly as deep; 0 when no
 * valley is deep enough beside the mean loss at the shorter lags.
 */
function deepestValley(last: number, length: number): number {
  let best = 0;
  let part = 0;
  let sum = 0;
  for (let lag = 1; lag < last; lag += 1) {
    if (isDeepValley(lag, sum, length) && (best === 0 || losses[lag]! < losses[best]!)) best = lag;
    sum += losses[lag]!;
  }
  sum = 0;
  for (let lag = 1; lag < best && part === 0; lag += 1) {
    const isPart = isWholePart(lag, best) && losses[lag]! <= PART_WITHIN * losses[best]!;
    if (isPart && isDeepValley(lag, sum, length)) part = lag;
    sum += losses[lag]!;
  }
  return part > 0 ? part : best;
}

/** `sum` is that of the losses at the shorter lags. */
function isDeepValley(lag: number, sum: number, length: number): boolean {
  const loss = losses[lag]!;
  return (
    lag >= PERIOD_MIN_STEPS &&
    loss <= losses[lag - 1]! &&
    loss <= losses[lag + 1]! &&
    loss * (lag - 1) < believableBelow(periodWindow(lag, length)) * sum
  );
}

/** Whether `whole` is twice, three times, ... `lag`, to within a step or 5 % of it. */
function isWholePart(lag: number, whole: number): boolean {
  const times = Math.round(whole / lag);
  return times > 1 && Math.abs(lag - whole / times) <= Math.max(1, lag / 20);
}
