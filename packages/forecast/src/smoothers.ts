/**
 * The experts that know no season: last value, simple exponential smoothing at several speeds (Brown, 1959), damped trends
 * (Gardner & McKenzie, 1985), a straight line through the last samples by least squares, kept in O(1), and medians of two
 * windows. Each is a few numbers; which of them is right today is the mixture's business.
 */

import { historyAt, historyLength } from "./history.ts";
import {
  EXPERT,
  LINE_COUNT,
  MEDIAN_COUNT,
  MEDIAN_WINDOWS,
  ROW,
  SES_COUNT,
  TREND_COUNT,
  TREND_DAMPINGS,
} from "./plan.ts";
import { windowPush, writeWindowQuantiles } from "./sorted-window.ts";
import { CLOCK, clock, type State } from "./state.ts";

export const SES_ALPHAS = [0.03, 0.08, 0.2, 0.4, 0.7] as const;
/** Level and trend gains; `TREND_DAMPINGS` says what is left of a trend after each further step. */
const TREND_GAINS = [
  { alpha: 0.5, beta: 0.2 },
  { alpha: 0.25, beta: 0.05 },
] as const;
export const LINE_POINTS = 20;
/** Sums that slide are made again so often, or rounding would add up. */
const LINE_REFRESH_STEPS = 256;

/** Working memory, so that a tick allocates nothing. */
const median = { size: 0, levels: [0.5], into: 0 };
const pushed = { size: 0, oldest: 0, value: 0 };
const trended = { i: 0, value: 0, first: false };

const SES = 1;
const TRENDS = SES + SES_COUNT;
const LINE = TRENDS + 2 * TREND_COUNT;

/** Takes a sample that was already pushed on the history; `first` when it is the first of all. */
export function observeSmoothers(
  state: State,
  series: number,
  { value, first }: { value: number; first: boolean },
): void {
  const { numbers, plan } = state;
  const at = series * plan.numbers + plan.at.smoothers;
  numbers[at] = value;
  for (let i = 0; i < SES_COUNT; i += 1) {
    const level = numbers[at + SES + i]!;
    numbers[at + SES + i] = first ? value : level + SES_ALPHAS[i]! * (value - level);
  }
  trended.value = value;
  trended.first = first;
  for (trended.i = 0; trended.i < TREND_COUNT; trended.i += 1)
    observeTrend(numbers, at + TRENDS + 2 * trended.i, trended);
}

function observeTrend(
  numbers: Float64Array,
  at: number,
  { i, value, first }: { i: number; value: number; first: boolean },
): void {
  const { alpha, beta } = TREND_GAINS[i]!;
  const damping = TREND_DAMPINGS[i]!;
  const level = first ? value : numbers[at]!;
  const slope = first ? 0 : damping * numbers[at + 1]!;
  const next = level + slope + alpha * (value - level - slope);
  numbers[at] = next;
  numbers[at + 1] = slope + beta * (next - level - slope);
}

/** The windows and the line move on with the history, also over steps without a sample. */
export function slideWindows(state: State, series: number, value: number): void {
  const steps = clock(state, series, CLOCK.steps);
  const { plan, singles } = state;
  let at = series * plan.singles + plan.in.windows;
  for (const width of MEDIAN_WINDOWS) {
    pushed.size = Math.min(width, steps - 1);
    pushed.oldest = pushed.size === width ? historyAt(state, series, width) : Number.NaN;
    pushed.value = value;
    windowPush(singles, at, pushed);
    at += width;
  }
  slideLine(state, series, value);
}

/** Sums of y and of x y, where x is 0 for the oldest of the last LINE_POINTS. */
function slideLine(state: State, series: number, value: number): void {
  const { numbers, plan } = state;
  const at = series * plan.numbers + plan.at.smoothers + LINE;
  const steps = clock(state, series, CLOCK.steps);
  const filled = Math.min(steps - 1, LINE_POINTS);
  if (steps % LINE_REFRESH_STEPS === 0) {
    refreshLine(state, series, at);
  } else if (filled < LINE_POINTS) {
    numbers[at] = numbers[at]! + value;
    numbers[at + 1] = numbers[at + 1]! + filled * value;
  } else {
    const oldest = historyAt(state, series, LINE_POINTS);
    const kept = numbers[at]! - oldest;
    numbers[at] = kept + value;
    numbers[at + 1] = numbers[at + 1]! - kept + (LINE_POINTS - 1) * value;
  }
}

function refreshLine(state: State, series: number, at: number): void {
  const count = Math.min(LINE_POINTS, historyLength(state, series));
  let [sum, weighted] = [0, 0];
  for (let x = 0; x < count; x += 1) {
    const value = historyAt(state, series, count - 1 - x);
    sum += value;
    weighted += x * value;
  }
  state.numbers[at] = sum;
  state.numbers[at + 1] = weighted;
}

/** Writes what the smoothers know to a row. */
export function writeSmoothers(state: State, series: number, row: number): void {
  const { numbers, plan, singles } = state;
  const at = series * plan.numbers + plan.at.smoothers;
  for (let i = 0; i < ROW.lines; i += 1) singles[row + i] = numbers[at + i]!;
  const steps = clock(state, series, CLOCK.steps);
  const count = Math.min(LINE_POINTS, steps);
  const mean = numbers[at + LINE]! / count;
  const middle = (count - 1) / 2;
  // Sum over x of (x - middle)^2 = count (count^2 - 1) / 12.
  const slope =
    count < 3
      ? 0
      : ((numbers[at + LINE + 1]! - middle * numbers[at + LINE]!) * 12) / (count * (count * count - 1));
  singles[row + ROW.lines] = mean + slope * middle;
  singles[row + ROW.lines + 1] = slope;
  let window = series * plan.singles + plan.in.windows;
  for (let i = 0; i < MEDIAN_COUNT; i += 1) {
    median.size = Math.min(MEDIAN_WINDOWS[i]!, steps);
    median.into = row + ROW.medians + i;
    writeWindowQuantiles(singles, window, median);
    window += MEDIAN_WINDOWS[i]!;
  }
}

/** Writes where the experts of the row stand at horizon `h`, all but the RLS and the season, to `into`. */
export function smootherExperts({ singles, plan }: State, row: number, { h, into }: Place): void {
  for (let i = 0; i <= SES_COUNT; i += 1) singles[into + i] = singles[row + i]!;
  for (let i = 0; i < TREND_COUNT; i += 1) {
    const trend = row + ROW.trends + 2 * i;
    singles[into + EXPERT.trends + i] =
      singles[trend]! + plan.reaches[TREND_COUNT * h + i]! * singles[trend + 1]!;
  }
  const steps = plan.horizons[h]!;
  for (let i = 0; i < LINE_COUNT; i += 1) {
    const line = row + ROW.lines + 2 * i;
    singles[into + EXPERT.lines + i] = singles[line]! + steps * singles[line + 1]!;
  }
  for (let i = 0; i < MEDIAN_COUNT; i += 1)
    singles[into + EXPERT.medians + i] = singles[row + ROW.medians + i]!;
}

type Place = { h: number; into: number };
