/**
 * The experts that know no season: last value, simple exponential smoothing at several speeds (Brown, 1959), damped trends
 * (Gardner & McKenzie, 1985), a straight line through the last samples by least squares, kept in O(1), and medians of two
 * windows. Each is a few numbers; which of them is right today is the mixture's business.
 */

import { historyAt, historyLength } from "./history.ts";
import { LINE_COUNT, MEDIAN_COUNT, MEDIAN_WINDOWS, ROW, SES_COUNT, TREND_COUNT } from "./plan.ts";
import { windowPush, windowQuantile } from "./sorted-window.ts";
import { CLOCK, clock, type State } from "./state.ts";

export const SES_ALPHAS = [0.03, 0.08, 0.2, 0.4, 0.7] as const;
/** Level and trend gains, and what is left of the trend after each further step. */
export const DAMPED_TRENDS = [
  { alpha: 0.5, beta: 0.2, damping: 0.9 },
  { alpha: 0.25, beta: 0.05, damping: 0.97 },
] as const;
export const LINE_POINTS = 20;
/** Sums that slide are made again so often, or rounding would add up. */
const LINE_REFRESH_STEPS = 256;

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
  for (let i = 0; i < TREND_COUNT; i += 1) observeTrend(numbers, at + TRENDS + 2 * i, { i, value, first });
}

function observeTrend(
  numbers: Float64Array,
  at: number,
  { i, value, first }: { i: number; value: number; first: boolean },
): void {
  const { alpha, beta, damping } = DAMPED_TRENDS[i]!;
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
    const size = Math.min(width, steps - 1);
    const oldest = size === width ? historyAt(state, series, width) : Number.NaN;
    windowPush(singles, at, { size, oldest, value });
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
    singles[row + ROW.medians + i] = windowQuantile(singles, window, {
      size: Math.min(MEDIAN_WINDOWS[i]!, steps),
      level: 0.5,
    });
    window += MEDIAN_WINDOWS[i]!;
  }
}

/** Where the experts of a row stand `steps` ahead: writes all but the RLS and the season, the number of them. */
export function smootherExperts(
  singles: Float32Array,
  row: number,
  { steps, into }: { steps: number; into: Float64Array },
): number {
  let expert = 0;
  for (let i = 0; i <= SES_COUNT; i += 1) into[expert++] = singles[row + i]!;
  for (let i = 0; i < TREND_COUNT; i += 1) {
    const { damping } = DAMPED_TRENDS[i]!;
    const reach = (damping * (1 - damping ** steps)) / (1 - damping);
    into[expert++] = singles[row + ROW.trends + 2 * i]! + reach * singles[row + ROW.trends + 2 * i + 1]!;
  }
  for (let i = 0; i < LINE_COUNT; i += 1) {
    into[expert++] = singles[row + ROW.lines + 2 * i]! + steps * singles[row + ROW.lines + 2 * i + 1]!;
  }
  for (let i = 0; i < MEDIAN_COUNT; i += 1) into[expert++] = singles[row + ROW.medians + i]!;
  return expert;
}
