/**
 * What the engine would have said of a recorded series: it is fed sample by sample and never sees ahead. The first part
 * is warm-up: the engine learns, nothing is judged.
 */

import { createForecaster } from "./forecaster.ts";
import { type AlarmScore, scoreAlarms, usualThreshold, WITHIN_STEPS } from "./overload-task.ts";
import { createQuantileAccount, type QuantileScore } from "./quantile-score.ts";

export const LEVELS = [0.5, 0.9, 0.95, 0.99] as const;
/** The band that is kept: from the median to this level. */
export const BAND_LEVEL = LEVELS.indexOf(0.95);
const MEDIAN = LEVELS.indexOf(0.5);

export type BacktestOptions = {
  readonly stepMs: number;
  /** In steps, ascending. */
  readonly horizons: readonly number[];
  /** 0..1 of the series. */
  readonly warmUpPart: number;
  /** What must not be exceeded; undefined: the 90th percentile of the warm-up. */
  readonly threshold: number | undefined;
  readonly falseAlarmBudget: number;
  /** Which of the horizons the band is kept of. */
  readonly bandHorizon: number;
};

export type Backtest = {
  readonly steps: number;
  readonly warmUpSteps: number;
  /** Period found in the series, in steps; 0 when none. */
  readonly periodSteps: number;
  readonly quantiles: QuantileScore;
  readonly threshold: number;
  readonly alarms: AlarmScore;
  /** 1 where an alarm stood after the sample of that step. */
  readonly raised: Uint8Array;
  /** At each step, what was foreseen for it `bandHorizon` steps before; NaN where nothing was. */
  readonly band: { readonly median: Float64Array; readonly upper: Float64Array };
};

/** `values`: one per step, NaN where there was no sample. Throws a RangeError when the options make no sense. */
export function backtest(values: Float64Array, options: BacktestOptions): Backtest {
  const { stepMs, horizons, falseAlarmBudget } = options;
  const h = horizons.indexOf(options.bandHorizon);
  if (h < 0) throw new RangeError(`the band's horizon ${options.bandHorizon} is none of the horizons`);
  const from = Math.floor(values.length * options.warmUpPart);
  const threshold = options.threshold ?? usualThreshold(values, from);
  const forecaster = createForecaster({ stepMs, horizons, quantiles: LEVELS });
  const account = createQuantileAccount({ values, horizons, levels: LEVELS, from });
  const empty = () => new Float64Array(values.length).fill(Number.NaN);
  const band = { median: empty(), upper: empty() };
  for (let step = 0; step < values.length; step += 1) {
    const value = values[step]!;
    if (!Number.isNaN(value)) forecaster.observe(step * stepMs, value);
    const forecast = forecaster.forecast();
    account.step(step, value, forecast);
    const target = step + options.bandHorizon;
    if (target < values.length) {
      band.median[target] = forecast.horizons[h]!.quantiles[MEDIAN]!;
      band.upper[target] = forecast.horizons[h]!.quantiles[BAND_LEVEL]!;
    }
  }
  const raised = alarmsOf(values, { stepMs, threshold, from, falseAlarmBudget });
  return {
    steps: values.length,
    warmUpSteps: from,
    periodSteps: forecaster.forecast().scorecard.periodSteps,
    quantiles: account.read(),
    threshold,
    alarms: scoreAlarms({ values, threshold, from }, raised),
    raised,
    band,
  };
}

/** Where an alarm about the threshold stands, on a forecaster that looks WITHIN_STEPS ahead. */
export function alarmsOf(
  values: Float64Array,
  task: { stepMs: number; threshold: number; from: number; falseAlarmBudget: number },
): Uint8Array {
  const { stepMs, threshold, from, falseAlarmBudget } = task;
  const horizons = [1, 5, 10, WITHIN_STEPS];
  const forecaster = createForecaster({ stepMs, horizons, quantiles: LEVELS, falseAlarmBudget });
  const raised = new Uint8Array(values.length);
  for (let step = 0; step < values.length; step += 1) {
    if (step === from) forecaster.setThreshold(threshold);
    if (!Number.isNaN(values[step]!)) forecaster.observe(step * stepMs, values[step]!);
    if (step > from && forecaster.alarm().raised) raised[step] = 1;
  }
  return raised;
}
