/**
 * The highest value within the longest horizon: what an alarm is about, and what no forecast of a single step says. Each
 * detector has its own view of it (where the value stands, the level, where the trend leads, what the season brings, what
 * the quantiles say); recursive least squares (Plackett, 1950) learns how the maximum follows from all of them.
 *
 * It needs no threshold, so an alarm is warm when it is told one, and stays so when it is told another. A forecast can be
 * judged only when its horizon has passed; neighbours in time say nearly the same, so that every third one is learnt from.
 */

import { historyAt, historyLength } from "./history.ts";
import { absorb, clip, createExcitation, excite, startMatrix } from "./least-squares.ts";
import { EXPERT, MAX_LEARN_EVERY, MAX_REGRESSORS, maximumRows, ROW, SCALES, SLOT } from "./plan.ts";
import { profileMax, seasonPeriod } from "./season.ts";
import { newestSlot, rowOf } from "./slots.ts";
import { CLOCK, clock, type State } from "./state.ts";

/** What each regressor looks at. */
const VIEWS = [
  "none",
  "value",
  "level",
  "level",
  "trend",
  "season",
  "quantile",
  "quantile",
  "value",
] as const;
export type View = Exclude<(typeof VIEWS)[number], "none">;

/** Per forecast that is learnt from: about the last 2,000 steps count. */
const FORGETTING = 0.9985;
const REGRESSOR_MAX = 10;
/** Targets and errors beyond so many units and usual errors are clipped: one outlier must not turn the matrix over. */
const TARGET_MAX = 8;
const ERROR_MAX = 3;
const ERROR_USUAL_MIN = 0.1;
/** Of the usual error, which takes no error as larger than this. */
const SCALE_RATE = 1 / 300;
const SCALE_CLIP = 6;
/** The first steps say nothing: the scales are not known yet. */
const STEPS_MIN = 20;
/** Mean absolute deviation of the standard logistic distribution. */
const LOGISTIC_DEVIATION = 2 * Math.LN2;

/** Fields of a row after its regressors. */
const CENTER = MAX_REGRESSORS;
const UNIT = MAX_REGRESSORS + 1;
const SAID = MAX_REGRESSORS + 2;
export const MAXIMUM_ROW_WIDTH = MAX_REGRESSORS + 3;

/** What is foreseen: the maximum, in the series' own unit, and the usual error it is measured in. */
export type Maximum = { foreseen: number; unit: number; view: View };

const excitation = createExcitation(MAX_REGRESSORS);
const { regressors, gain } = excitation;
const seen = { row: 0, slot: 0, center: 0, unit: 0, highest: 0 };
const absorbed = { excitation, forgetting: FORGETTING };

export function startMaximum(state: State, series: number): void {
  const { numbers, plan } = state;
  startRegression(
    numbers,
    series * plan.numbers + plan.at.maxMatrix,
    series * plan.numbers + plan.at.maxWeights,
  );
  numbers[series * plan.numbers + plan.at.maxScale] = 1;
  numbers[series * plan.numbers + plan.at.maxScale + 1] = 0;
  forgetMaxima(state, series);
}

/** Forecasts that wait for their outcome never will have one. */
export function forgetMaxima({ plan, singles }: State, series: number): void {
  const rows = series * plan.singles + plan.in.maxRows;
  singles.fill(Number.NaN, rows, rows + maximumRows(plan) * MAXIMUM_ROW_WIDTH);
}

/** A step without a sample: no forecast was made from it. */
export function skipMaximum(state: State, series: number): void {
  const steps = clock(state, series, CLOCK.steps);
  if (steps % MAX_LEARN_EVERY === 0) state.singles[rowAt(state, series, steps) + UNIT] = Number.NaN;
}

/** After the forecasts of a tick: learns from the one whose horizon has passed, makes the next and writes it to `into`. */
export function observeMaximum(state: State, series: number, into: Maximum): void {
  const { plan, numbers, singles } = state;
  const steps = clock(state, series, CLOCK.steps);
  const within = plan.rows - 1;
  const highest = highestOfLast(state, series, within);
  const made = steps - within;
  if (made > STEPS_MIN && made % MAX_LEARN_EVERY === 0) learn(state, series, { made, highest });
  const last = plan.horizons.length - 1;
  const row = rowOf(state, series);
  const slot = newestSlot(state, series, last);
  const value = singles[row + ROW.last]!;
  const usual = numbers[series * plan.numbers + plan.at.scales + SCALES * last + 1]!;
  const unit = Math.max(usual, 1e-9, 1e-6 * Math.abs(value));
  const center = singles[slot + SLOT.center]!;
  seen.row = row;
  seen.slot = slot;
  seen.center = center;
  seen.unit = unit;
  seen.highest = highest;
  readRegressors(state, series, seen);
  const said = say(state, series);
  into.foreseen = center + unit * said;
  into.unit = unit;
  into.view = loudest(state, series);
  if (steps % MAX_LEARN_EVERY !== 0) return;
  const waiting = rowAt(state, series, steps);
  for (let i = 0; i < MAX_REGRESSORS; i += 1) singles[waiting + i] = regressors[i]!;
  singles[waiting + CENTER] = center;
  singles[waiting + UNIT] = unit;
  singles[waiting + SAID] = said;
}

/** That the maximum is above what lies `units` above the one foreseen. */
export function chanceAbove({ numbers, plan }: State, series: number, units: number): number {
  const usual = Math.max(ERROR_USUAL_MIN, numbers[series * plan.numbers + plan.at.maxScale]!);
  return 1 / (1 + Math.exp((units * LOGISTIC_DEVIATION) / usual));
}

function rowAt({ plan }: State, series: number, steps: number): number {
  const place = (steps / MAX_LEARN_EVERY) % maximumRows(plan);
  return series * plan.singles + plan.in.maxRows + place * MAXIMUM_ROW_WIDTH;
}

function highestOfLast(state: State, series: number, count: number): number {
  let highest = Number.NEGATIVE_INFINITY;
  const known = Math.min(count, historyLength(state, series));
  for (let ago = 0; ago < known; ago += 1) {
    const value = historyAt(state, series, ago);
    if (value > highest) highest = value;
  }
  return highest;
}

function readRegressors(
  state: State,
  series: number,
  at: { row: number; slot: number; center: number; unit: number; highest: number },
): void {
  const { singles, plan } = state;
  const { row, slot, center, unit } = at;
  const within = plan.rows - 1;
  regressors[0] = 1;
  regressors[1] = singles[row + ROW.last]!;
  regressors[2] = singles[row + ROW.ses]!;
  regressors[3] = singles[row + ROW.ses + 2]!;
  regressors[4] = singles[row + ROW.lines]! + within * singles[row + ROW.lines + 1]!;
  regressors[5] =
    seasonPeriod(state, series) > 0
      ? profileMax(state, series, within) + singles[row + ROW.offsets + 1]!
      : Number.NaN;
  regressors[6] = singles[slot + SLOT.experts + EXPERT.rls]!;
  regressors[7] = singles[slot + SLOT.quantiles + plan.scoredLevel]!;
  regressors[8] = at.highest;
  for (let i = 1; i < MAX_REGRESSORS; i += 1) {
    const off = (regressors[i]! - center) / unit;
    regressors[i] = off > REGRESSOR_MAX ? REGRESSOR_MAX : off < -REGRESSOR_MAX ? -REGRESSOR_MAX : off || 0;
  }
}

/** How far the maximum lies above the center, in units, by `regressors`. */
function say({ numbers, plan }: State, series: number): number {
  const weights = series * plan.numbers + plan.at.maxWeights;
  let sum = 0;
  for (let i = 0; i < MAX_REGRESSORS; i += 1) sum += numbers[weights + i]! * regressors[i]!;
  return sum;
}

/** The view that raises the forecast the most. */
function loudest({ numbers, plan }: State, series: number): View {
  const weights = series * plan.numbers + plan.at.maxWeights;
  let best = 1;
  for (let i = 2; i < MAX_REGRESSORS; i += 1) {
    if (numbers[weights + i]! * regressors[i]! > numbers[weights + best]! * regressors[best]!) best = i;
  }
  return VIEWS[best] as View;
}

function learn(state: State, series: number, { made, highest }: { made: number; highest: number }): void {
  const { numbers, singles, plan } = state;
  const row = rowAt(state, series, made);
  const unit = singles[row + UNIT]!;
  if (Number.isNaN(unit)) return;
  for (let i = 0; i < MAX_REGRESSORS; i += 1) regressors[i] = singles[row + i]!;
  const truth = (highest - singles[row + CENTER]!) / unit;
  if (!Number.isFinite(truth)) return;
  const scaleAt = series * plan.numbers + plan.at.maxScale;
  const usual = Math.max(numbers[scaleAt]!, ERROR_USUAL_MIN);
  const error = clip(truth, TARGET_MAX) - say(state, series);
  update(state, series, usual * clip(error / usual, ERROR_MAX));
  const off = Math.min(Math.abs(truth - singles[row + SAID]!), SCALE_CLIP);
  const learnt = numbers[scaleAt + 1]!;
  numbers[scaleAt + 1] = learnt + 1;
  const rate = Math.max(SCALE_RATE, 1 / (learnt + 1));
  numbers[scaleAt] = numbers[scaleAt]! + rate * (off - numbers[scaleAt]!);
}

/** One step of least squares on `regressors`. */
function update({ numbers, plan }: State, series: number, error: number): void {
  const matrix = series * plan.numbers + plan.at.maxMatrix;
  const weights = series * plan.numbers + plan.at.maxWeights;
  excite(numbers, matrix, excitation);
  const step = error / (FORGETTING + excitation.energy);
  for (let i = 0; i < MAX_REGRESSORS; i += 1) numbers[weights + i] = numbers[weights + i]! + gain[i]! * step;
  if (!absorb(numbers, matrix, absorbed)) startRegression(numbers, matrix, weights);
}

function startRegression(numbers: Float64Array, matrix: number, weights: number): void {
  startMatrix(numbers, matrix, MAX_REGRESSORS);
  numbers.fill(0, weights, weights + MAX_REGRESSORS);
}
