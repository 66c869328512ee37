/**
 * Recursive least squares (Plackett, 1950) on what smoothing leaves: lags of the residual, a slower level, the trend and
 * the covariates. All horizons share one matrix, since they share the regressors, and have weights of their own. Guarded:
 * errors are clipped, the matrix forgets only while it is excited, and starts anew when it is no longer a number.
 */

import { historyAt, historyLength } from "./history.ts";
import { RLS_LAGS, ROW } from "./plan.ts";
import { profileAt, seasonPeriod } from "./season.ts";
import { CLOCK, clock, type State } from "./state.ts";

const FORGETTING = 0.998;
const START = 1;
/** Trace beyond which the matrix is not allowed to grow, per regressor. */
const TRACE_MAX = 50;
/** Errors beyond so many usual ones are clipped. */
const ERROR_MAX = 3;
/** A regressor beyond so many usual changes is clipped: one outlier must not turn the matrix over. */
const REGRESSOR_MAX = 10;
const LAGS = 4;
/** The level the residual is taken from: of the smoothing grid, or of the season's offsets. */
const LEVEL_SES = 2;
const SLOW_SES = 0;
const LEVEL_OFFSET = 1;
const SLOW_OFFSET = 0;

export function resetRls(state: State, series: number): void {
  const { numbers, plan } = state;
  const at = series * plan.numbers + plan.at.rlsMatrix;
  const d = plan.regressors;
  numbers.fill(0, at, at + d * d);
  for (let i = 0; i < d; i += 1) numbers[at + i * d + i] = START;
}

/** The level that the residuals of a row are taken from, without the season. */
function levelOf(state: State, series: number, row: number): number {
  const { singles } = state;
  return seasonPeriod(state, series) > 0
    ? singles[row + ROW.offsets + LEVEL_OFFSET]!
    : singles[row + ROW.ses + LEVEL_SES]!;
}

/** Writes the regressors as they were `ago` steps before the newest sample, in units of the usual change. */
function readRegressors(state: State, series: number, { ago, row }: { ago: number; row: number }): void {
  const { singles, regressors, plan } = state;
  const unit = 1 / clock(state, series, CLOCK.noise);
  const level = levelOf(state, series, row);
  const known = historyLength(state, series);
  for (let lag = 0; lag < LAGS; lag += 1) {
    const back = ago + lag;
    const value = back < known ? historyAt(state, series, back) - profileAt(state, series, -back) : level;
    regressors[lag] = clip((value - level) * unit, REGRESSOR_MAX);
  }
  const seasonal = seasonPeriod(state, series) > 0;
  const slow = seasonal ? singles[row + ROW.offsets + SLOW_OFFSET]! : singles[row + ROW.ses + SLOW_SES]!;
  regressors[LAGS] = clip((slow - level) * unit, REGRESSOR_MAX);
  regressors[LAGS + 1] = clip(seasonal ? 0 : singles[row + ROW.trends + 3]! * unit, REGRESSOR_MAX);
  const covariates = row + plan.rowWidth - plan.covariates;
  for (let c = 0; c < plan.covariates; c += 1) regressors[RLS_LAGS + c] = singles[covariates + c]!;
}

/** Takes the regressors of the newest row into the matrix. */
export function observeRls(state: State, series: number, row: number): void {
  const { numbers, plan, gain } = state;
  const at = series * plan.numbers + plan.at.rlsMatrix;
  const d = plan.regressors;
  readRegressors(state, series, { ago: 0, row });
  const energy = multiply(state, at);
  const scale = 1 / (FORGETTING + energy);
  let trace = 0;
  for (let i = 0; i < d; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      const value = numbers[at + i * d + j]! - gain[i]! * gain[j]! * scale;
      numbers[at + i * d + j] = value;
      numbers[at + j * d + i] = value;
    }
    trace += numbers[at + i * d + i]!;
  }
  if (!(trace > 0)) resetRls(state, series);
  else if (trace < TRACE_MAX * d) {
    for (let i = 0; i < d * d; i += 1) numbers[at + i] = numbers[at + i]! / FORGETTING;
  }
}

/** gain = matrix x regressors; returns regressors x gain. */
function multiply({ numbers, plan, regressors, gain }: State, at: number): number {
  const d = plan.regressors;
  let energy = 0;
  for (let i = 0; i < d; i += 1) {
    let sum = 0;
    for (let j = 0; j < d; j += 1) sum += numbers[at + i * d + j]! * regressors[j]!;
    gain[i] = sum;
    energy += sum * regressors[i]!;
  }
  return energy;
}

/** The forecast of horizon `h` from the newest row. */
export function forecastRls(state: State, series: number, { h, row }: { h: number; row: number }): number {
  const { numbers, plan, regressors } = state;
  if (h === 0) readRegressors(state, series, { ago: 0, row });
  const weights = series * plan.numbers + plan.at.rlsWeights + h * plan.regressors;
  let sum = 0;
  for (let i = 0; i < plan.regressors; i += 1) sum += numbers[weights + i]! * regressors[i]!;
  const steps = plan.horizons[h]!;
  return (
    levelOf(state, series, row) + profileAt(state, series, steps) + sum * clock(state, series, CLOCK.noise)
  );
}

/** Learns from a forecast that was made `steps` before the sample `value`, which is not yet in the history. */
export function learnRls(
  state: State,
  series: number,
  { h, row, value, forecast }: { h: number; row: number; value: number; forecast: number },
): void {
  const { numbers, plan, gain } = state;
  readRegressors(state, series, { ago: plan.horizons[h]! - 1, row });
  const noise = clock(state, series, CLOCK.noise);
  const scaleAt = series * plan.numbers + plan.at.scales + 2 * h;
  const usual = Math.max(numbers[scaleAt]!, numbers[scaleAt + 1]!);
  const error = clip(value - forecast, ERROR_MAX * Math.max(usual, noise)) / noise;
  const energy = multiply(state, series * plan.numbers + plan.at.rlsMatrix);
  const weights = series * plan.numbers + plan.at.rlsWeights + h * plan.regressors;
  for (let i = 0; i < plan.regressors; i += 1) {
    numbers[weights + i] = clip(numbers[weights + i]! + (gain[i]! * error) / (1 + energy), 2);
  }
}

function clip(value: number, most: number): number {
  return value > most ? most : value < -most ? -most : !Number.isNaN(value) ? value : 0;
}
