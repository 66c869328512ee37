/**
 * One series, online: observe samples, forecast quantiles for several horizons.
 * The interface is fixed; others program against it.
 *
 * The engine: experts (smoothers.ts, season.ts) forecast each horizon, a mixture weighs them by their past losses
 * (mixture.ts), conformal scores turn its errors into quantiles (conformal.ts). The period is searched a little at each
 * step (period.ts). A step costs a fixed amount of work and memory, whatever the input.
 */

import { createEngine, skip, take } from "./engine.ts";
import { createScores } from "./scores.ts";

export type ForecasterOptions = {
  readonly stepMs: number;
  /** In steps, ascending. */
  readonly horizons: readonly number[];
  /** Levels in (0, 1), ascending. */
  readonly quantiles: readonly number[];
};

export type HorizonForecast = {
  readonly steps: number;
  readonly mean: number;
  /** One value per level, ascending. */
  readonly quantiles: readonly number[];
};

export type ForecastScorecard = {
  readonly scored: number;
  /** Pinball loss at the highest level <= 0.95, relative to repeating the last value with no margin; NaN until scored. */
  readonly pinball95: number;
  readonly coverage95: number;
  /** Mean absolute error relative to that of the last value. */
  readonly maeVsLastValue: number;
  /** Period found in the series, in steps; 0 when none. */
  readonly periodSteps: number;
  /** Samples that were late, repeated or not finite: counted, never thrown on. */
  readonly refused: number;
};

export type Forecast = {
  /** False during warm-up; the numbers are then the best guess so far. */
  readonly ready: boolean;
  readonly horizons: readonly HorizonForecast[];
  readonly scorecard: ForecastScorecard;
};

export interface Forecaster {
  /** One sample; gaps are filled, repeats, late and non-finite samples refused and counted. */
  observe(atMs: number, value: number): void;
  forecast(): Forecast;
}

/** Samples before the first forecast that is worth something, beside the longest horizon. */
const WARM_UP_STEPS = 16;
/** A longer gap is not filled: what was learnt before it starts anew. */
export const GAP_STEPS_MAX = 512;
/** So many late samples in a row mean that the clock was set back, not that they are late. */
export const LATE_IN_ROW_MAX = 8;
export const VALUE_MAX = 1e30;

/** Throws a RangeError when the options make no sense; nothing else ever throws. */
export function createForecaster(options: ForecasterOptions): Forecaster {
  checkOptions(options);
  const { stepMs, quantiles } = options;
  const scores = createScores(quantiles);
  let engine = createEngine(options.horizons, quantiles);
  let lastMs = Number.NaN;
  let lastValue = 0;
  let lateInRow = 0;
  let refused = 0;

  function observe(atMs: number, value: number): void {
    const steps = Number.isNaN(lastMs) ? 1 : Math.round((atMs - lastMs) / stepMs);
    lateInRow = steps < 1 ? lateInRow + 1 : 0;
    if (
      !Number.isFinite(atMs) ||
      !(Math.abs(value) <= VALUE_MAX) ||
      (steps < 1 && lateInRow < LATE_IN_ROW_MAX)
    ) {
      refused += 1;
      return;
    }
    if (steps > GAP_STEPS_MAX) engine = createEngine(options.horizons, quantiles);
    else for (let step = 1; step < steps; step += 1) skip(engine, lastValue);
    // Times are kept on the grid of steps, or jitter would add up; after a jump a new grid begins.
    const jumped = Number.isNaN(lastMs) || steps < 1 || steps > GAP_STEPS_MAX;
    lastMs = jumped ? atMs : lastMs + steps * stepMs;
    lastValue = value;
    lateInRow = 0;
    take(engine, value, scores);
  }

  function forecast(): Forecast {
    const { history, horizons, season } = engine;
    return {
      ready: history.length() >= WARM_UP_STEPS + horizons.at(-1)!.steps,
      horizons: horizons.map((horizon) => ({
        steps: horizon.steps,
        mean: horizon.mean(),
        quantiles: quantiles.map((_, index) => horizon.quantile(index)),
      })),
      scorecard: { ...scores.read(), periodSteps: season?.period ?? 0, refused },
    };
  }

  return { observe, forecast };
}

function checkOptions({ stepMs, horizons, quantiles }: ForecasterOptions): void {
  if (!(stepMs > 0)) throw new RangeError(`stepMs ${stepMs} must be above 0`);
  if (
    horizons.length === 0 ||
    !horizons.every((steps, i) => Number.isInteger(steps) && steps > (horizons[i - 1] ?? 0))
  ) {
    throw new RangeError(`horizons ${horizons} must be whole steps, ascending`);
  }
  if (
    quantiles.length === 0 ||
    !quantiles.every((level, i) => level > (quantiles[i - 1] ?? 0) && level < 1)
  ) {
    throw new RangeError(`quantiles ${quantiles} must lie in (0, 1), ascending`);
  }
}
