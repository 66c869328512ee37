/**
 * Finds the period of a series by the average magnitude difference (Ross et al., 1974; normalised by what lies before it
 * as in YIN, de Cheveigne & Kawahara, 2002): the mean change over a lag is exactly the loss of the seasonal naive
 * forecast, so the lag with the least change is the period worth trying. A scan is spread over ticks: none pays for more
 * than WORK_PER_TICK differences, however long the history is.
 */

import type { History } from "./history.ts";

export const PERIOD_MIN_STEPS = 6;
export const PERIOD_MAX_STEPS = 2048;
const WORK_PER_TICK = 8192;
const WINDOW_MIN_STEPS = 24;
/** A multiple of a period is as good as the period itself, up to noise: a whole part within this of the best is taken. */
const PART_WITHIN = 1.6;

export type PeriodSearch = {
  /** One tick of work. The candidate period in steps when a scan has ended, 0 for none; undefined while it goes on. */
  step(): number | undefined;
};

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

export function createPeriodSearch(history: History): PeriodSearch {
  const losses = new Float32Array(PERIOD_MAX_STEPS + 1);
  let lag = 1;

  return {
    step() {
      let work = 0;
      while (work < WORK_PER_TICK) {
        const window = lag <= PERIOD_MAX_STEPS ? periodWindow(lag, history.length()) : 0;
        if (window === 0) {
          const found = deepestValley(losses, lag - 1, history.length());
          lag = 1;
          return found;
        }
        losses[lag] = history.change(lag, window);
        work += window;
        lag += 1;
      }
      return undefined;
    },
  };
}

/**
 * Of lags 1..`last`, the one with the deepest valley, or a whole part of it that is a valley nearly as deep; 0 when no
 * valley is deep enough beside the mean loss at the shorter lags. `length` is that of the history.
 */
function deepestValley(losses: Float32Array, last: number, length: number): number {
  const valleys = deepValleys(losses, last, length);
  const best = valleys.reduce((found, lag) => (losses[lag]! < losses[found]! ? lag : found), valleys[0] ?? 0);
  const part = valleys.find((lag) => isWholePart(lag, best) && losses[lag]! <= PART_WITHIN * losses[best]!);
  return part ?? best;
}

function deepValleys(losses: Float32Array, last: number, length: number): number[] {
  const found: number[] = [];
  let sum = 0;
  for (let lag = 1; lag < last; lag += 1) {
    const loss = losses[lag]!;
    const isValley = loss <= losses[lag - 1]! && loss <= losses[lag + 1]!;
    const isDeep = loss * (lag - 1) < believableBelow(periodWindow(lag, length)) * sum;
    if (lag >= PERIOD_MIN_STEPS && isValley && isDeep) found.push(lag);
    sum += loss;
  }
  return found;
}

/** Whether `whole` is twice, three times, ... `lag`, to within a step or 5 % of it. */
function isWholePart(lag: number, whole: number): boolean {
  const times = Math.round(whole / lag);
  return times > 1 && Math.abs(lag - whole / times) <= Math.max(1, lag / 20);
}
