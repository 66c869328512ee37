/**
 * Least squares (least-squares.ts) on what smoothing leaves: lags of the residual, a slower level, the trend and the covariates.
 * All horizons share one matrix, since they share the regressors, and have weights of their own. Errors and regressors
 * are clipped.
 */

import { historyAt, historyLength } from "./history.ts";
import { absorb, clip, excite, startMatrix } from "./least-squares.ts";
import { EXPERT, RLS_LAGS, ROW, SCALES, SLOT } from "./plan.ts";
import { profileAt, seasonPeriod } from "./season.ts";
import type { Made } from "./slots.ts";
import { CLOCK, clock, type State } from "./state.ts";

const FORGETTING = 0.998;
/** Errors beyond so many usual ones are clipped. */
const ERROR_MAX = 3;
/** A regressor beyond so many usual changes is clipped: one outlier must not turn the matrix over. */
const REGRESSOR_MAX = 10;
const WEIGHT_MAX = 2;
const LAGS = 4;
/** The level the residual is taken from: of the smoothing grid, or of the season's offsets. */
const LEVEL_SES = 2;
const SLOW_SES = 0;
const LEVEL_OFFSET = 1;
const SLOW_OFFSET = 0;

export function resetRls({ numbers, plan }: State, series: number): void {
  startMatrix(numbers, series * plan.numbers + plan.at.rlsMatrix, plan.regressors);
}

/** The level that the residuals of the row are taken from, without the season. */
function levelOf(state: State, series: number, row: number): number {
  const { singles } = state;
  return seasonPeriod(state, series) > 0
    ? singles[row + ROW.offsets + LEVEL_OFFSET]!
    : singles[row + ROW.ses + LEVEL_SES]!;
}

/** Reads the regressors as they are after the newest sample, in units of the usual change. */
function readRegressors(state: State, series: number, row: number): void {
  const { singles, plan } = state;
  const { regressors } = state.excitation;
  const unit = 1 / clock(state, series, CLOCK.noise);
  const level = levelOf(state, series, row);
  const known = historyLength(state, series);
  for (let lag = 0; lag < LAGS; lag += 1) {
    const value = lag < known ? historyAt(state, series, lag) - profileAt(state, series, -lag) : level;
    regressors[lag] = clip((value - level) * unit, REGRESSOR_MAX);
  }
  const seasonal = seasonPeriod(state, series) > 0;
  const slow = seasonal ? singles[row + ROW.offsets + SLOW_OFFSET]! : singles[row + ROW.ses + SLOW_SES]!;
  regressors[LAGS] = clip((slow - level) * unit, REGRESSOR_MAX);
  regressors[LAGS + 1] = clip(seasonal ? 0 : singles[row + ROW.trends + 3]! * unit, REGRESSOR_MAX);
  const covariates = row + plan.rowWidth - plan.covariates;
  for (let c = 0; c < plan.covariates; c += 1) regressors[RLS_LAGS + c] = singles[covariates + c]!;
}

/** Takes the regressors of the newest row into the matrix; the forecasts of this step are made from them. */
export function observeRls(state: State, series: number, row: number): void {
  const { numbers, plan, excitation } = state;
  const at = series * plan.numbers + plan.at.rlsMatrix;
  readRegressors(state, series, row);
  excite(numbers, at, excitation);
  if (!absorb(numbers, at, { excitation, forgetting: FORGETTING })) resetRls(state, series);
}

/** Writes the forecast of horizon `h` to its slot, and the regressors that it was made from. */
export function forecastRls(state: State, series: number, { h, slot }: Made): void {
  const { numbers, plan, singles, excitation } = state;
  const { regressors } = excitation;
  const weights = series * plan.numbers + plan.at.rlsWeights + h * plan.regressors;
  let sum = 0;
  for (let i = 0; i < plan.regressors; i += 1) {
    sum += numbers[weights + i]! * regressors[i]!;
    singles[slot + plan.slotRegressors + i] = regressors[i]!;
  }
  const level = levelOf(state, series, series * plan.singles + plan.in.row);
  singles[slot + SLOT.experts + EXPERT.rls] =
    level + profileAt(state, series, plan.horizons[h]!) + sum * clock(state, series, CLOCK.noise);
}

/** Learns from a forecast whose sample has come. */
export function learnRls(state: State, series: number, { h, slot, value }: Made): void {
  const { numbers, plan, singles, excitation } = state;
  const { regressors, gain } = excitation;
  for (let i = 0; i < plan.regressors; i += 1) regressors[i] = singles[slot + plan.slotRegressors + i]!;
  const noise = clock(state, series, CLOCK.noise);
  const scales = series * plan.numbers + plan.at.scales + SCALES * h;
  const usual = Math.max(numbers[scales]!, numbers[scales + 1]!);
  const forecast = singles[slot + SLOT.experts + EXPERT.rls]!;
  const error = clip(value - forecast, ERROR_MAX * Math.max(usual, noise)) / noise;
  excite(numbers, series * plan.numbers + plan.at.rlsMatrix, excitation);
  const weights = series * plan.numbers + plan.at.rlsWeights + h * plan.regressors;
  const scale = error / (1 + excitation.energy);
  for (let i = 0; i < plan.regressors; i += 1)
    numbers[weights + i] = clip(numbers[weights + i]! + gain[i]! * scale, WEIGHT_MAX);
}
