/**
 * Scores one series: every method forecasts at each step, and each forecast is compared with the sample it was made for.
 * The first 30 % are warm-up: methods run, nothing is counted.
 */

import { LEVELS } from "@understudy/forecast/backtest";
import type { Forecaster } from "@understudy/forecast/forecaster";
import {
  createPending,
  createQuantileAccount,
  type QuantileScore,
} from "@understudy/forecast/quantile-score";
import { type Baseline, createBaselines } from "./forecast-baselines.ts";
import { countFloor } from "./forecast-floor.ts";
import type { Series } from "./forecast-series.ts";

export const HORIZONS = [1, 5, 15, 30] as const;
export const WARM_UP_PART = 0.3;

export type SeriesScore = Omit<QuantileScore, "errors" | "lastValueErrors"> & {
  readonly folder: string;
  readonly name: string;
  /** Mean absolute error by method and horizon. */
  readonly errors: Readonly<Record<string, readonly number[]>>;
  /** Error that nobody can avoid, for counts; undefined for other series. */
  readonly floor: number | undefined;
};

export const warmUpSteps = ({ values }: Series): number => Math.floor(values.length * WARM_UP_PART);

/** Runs `forecaster` and the baselines over the series. */
export function scoreSeries(series: Series, forecaster: Forecaster): SeriesScore {
  const baselines = createBaselines(series, HORIZONS);
  const accounts = baselines.map((baseline) => createAccount(series, baseline));
  const from = warmUpSteps(series);
  const own = createQuantileAccount({ values: series.values, horizons: HORIZONS, levels: LEVELS, from });
  for (let step = 0; step < series.values.length; step += 1) {
    const value = series.values[step]!;
    if (!Number.isNaN(value)) forecaster.observe(step * series.stepMs, value);
    own.step(step, value, forecaster.forecast());
    for (const account of accounts) account.step(step, value);
  }
  const { errors: ours, lastValueErrors: _, ...quantiles } = own.read();
  return {
    folder: series.folder,
    name: series.name,
    errors: { ours, ...Object.fromEntries(accounts.map(({ name, read }) => [name, read()])) },
    ...quantiles,
    floor: countFloor(series, from),
  };
}

function createAccount(series: Series, baseline: Baseline) {
  const from = warmUpSteps(series);
  const pending = createPending(HORIZONS, 1);
  const into = new Float64Array(HORIZONS.length);
  const sums = new Float64Array(HORIZONS.length);
  const counts = new Float64Array(HORIZONS.length);
  return {
    name: baseline.name,
    step(step: number, value: number) {
      for (let h = 0; h < HORIZONS.length; h += 1) {
        const made = step - HORIZONS[h]!;
        if (made < from || Number.isNaN(value)) continue;
        sums[h] = sums[h]! + Math.abs(value - pending.at(made, h)[0]!);
        counts[h] = counts[h]! + 1;
      }
      baseline.observe(value);
      baseline.predict(into);
      for (let h = 0; h < HORIZONS.length; h += 1) pending.at(step, h)[0] = into[h]!;
    },
    read: () => [...sums].map((sum, h) => sum / counts[h]!),
  };
}
