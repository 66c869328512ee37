/**
 * One series, online: observe samples, forecast quantiles for several horizons.
 * The interface is fixed; others program against it.
 */

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
