/**
 * Scores one series: every method forecasts at each step, and each forecast is compared with the sample it was made for.
 * The first 30 % are warm-up: methods run, nothing is counted.
 */

import type { Forecaster } from "@understudy/forecast/forecaster";
import { type Baseline, createBaselines } from "./forecast-baselines.ts";
import { countFloor } from "./forecast-floor.ts";
import type { Series } from "./forecast-series.ts";

export const HORIZONS = [1, 5, 15, 30] as const;
export const LEVELS = [0.5, 0.9, 0.95, 0.99] as const;
export const WARM_UP_PART = 0.3;
const MEDIAN = LEVELS.indexOf(0.5);
const Q95 = LEVELS.indexOf(0.95);
/** The opponent of the 0.95 quantile: the last value plus this quantile of so many last errors. */
const CONFORMAL_WINDOW = 500;

export type SeriesScore = {
  readonly folder: string;
  readonly name: string;
  readonly scored: number;
  /** Mean absolute error by method and horizon. */
  readonly errors: Readonly<Record<string, readonly number[]>>;
  /** Pinball loss of the 0.95 quantile by horizon, over that of the last value with a conformal margin. */
  readonly pinball95: readonly number[];
  /** By level: mean over horizons of the calibration error, and the share below or at the quantile. */
  readonly calibrationError: readonly number[];
  readonly coverage: readonly number[];
  /** Error that nobody can avoid, for counts; undefined for other series. */
  readonly floor: number | undefined;
};

export const warmUpSteps = ({ values }: Series): number => Math.floor(values.length * WARM_UP_PART);

/** Runs `forecaster` and the baselines over the series. */
export function scoreSeries(series: Series, forecaster: Forecaster): SeriesScore {
  const baselines = createBaselines(series, HORIZONS);
  const accounts = baselines.map((baseline) => createAccount(series, baseline));
  const own = createQuantileAccount(series);
  for (let step = 0; step < series.values.length; step += 1) {
    const value = series.values[step]!;
    if (!Number.isNaN(value)) forecaster.observe(step * series.stepMs, value);
    own.step(step, value, forecaster);
    for (const account of accounts) account.step(step, value);
  }
  const { ours, ...quantiles } = own.read();
  return {
    folder: series.folder,
    name: series.name,
    errors: { ours, ...Object.fromEntries(accounts.map(({ name, read }) => [name, read()])) },
    ...quantiles,
    floor: countFloor(series, warmUpSteps(series)),
  };
}

/** Forecasts that wait for their sample: `width` numbers for each horizon. */
function createPending(width: number) {
  const slots = HORIZONS.at(-1)! + 1;
  const stored = new Float64Array(slots * HORIZONS.length * width).fill(Number.NaN);
  const offset = (step: number, h: number) => ((step % slots) * HORIZONS.length + h) * width;
  return {
    /** Where the forecasts made at `step` stand. */
    at: (step: number, h: number) => stored.subarray(offset(step, h), offset(step, h) + width),
  };
}

function createAccount(series: Series, baseline: Baseline) {
  const from = warmUpSteps(series);
  const pending = createPending(1);
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

function createQuantileAccount(series: Series) {
  const from = warmUpSteps(series);
  const pending = createPending(LEVELS.length);
  const opponents = HORIZONS.map((steps) => createConformalLast(series, steps));
  const zeros = () => HORIZONS.map(() => new Float64Array(LEVELS.length));
  const [below, atOrBelow] = [zeros(), zeros()];
  const counts = new Float64Array(HORIZONS.length);
  const error = new Float64Array(HORIZONS.length);
  const pinball = new Float64Array(HORIZONS.length);
  const opponentPinball = new Float64Array(HORIZONS.length);

  function score(step: number, value: number, h: number): void {
    const quantiles = pending.at(step - HORIZONS[h]!, h);
    counts[h] = counts[h]! + 1;
    error[h] = error[h]! + Math.abs(value - quantiles[MEDIAN]!);
    pinball[h] = pinball[h]! + pinballLoss(value, quantiles[Q95]!, 0.95);
    opponentPinball[h] = opponentPinball[h]! + pinballLoss(value, opponents[h]!.quantile(step), 0.95);
    for (let q = 0; q < LEVELS.length; q += 1) {
      if (value < quantiles[q]!) below[h]![q] = below[h]![q]! + 1;
      if (value <= quantiles[q]!) atOrBelow[h]![q] = atOrBelow[h]![q]! + 1;
    }
  }

  return {
    step(step: number, value: number, forecaster: Forecaster) {
      for (let h = 0; h < HORIZONS.length; h += 1) {
        if (step - HORIZONS[h]! >= from && !Number.isNaN(value)) score(step, value, h);
        opponents[h]!.step(step);
      }
      const { horizons } = forecaster.forecast();
      for (let h = 0; h < HORIZONS.length; h += 1) pending.at(step, h).set(horizons[h]!.quantiles);
    },
    read: () => ({
      ours: [...error].map((sum, h) => sum / counts[h]!),
      scored: counts[0]!,
      pinball95: [...pinball].map((sum, h) => ratio(sum, opponentPinball[h]!)),
      calibrationError: LEVELS.map((level, q) =>
        mean(
          HORIZONS.map((_, h) => outside(level, below[h]![q]! / counts[h]!, atOrBelow[h]![q]! / counts[h]!)),
        ),
      ),
      coverage: LEVELS.map((_, q) => mean(HORIZONS.map((_, h) => atOrBelow[h]![q]! / counts[h]!))),
    }),
  };
}

/** The last value, plus the 0.95 quantile of the last 500 changes over the same number of steps. */
function createConformalLast({ values }: Series, steps: number) {
  const sorted: number[] = [];
  const byTime: number[] = [];
  const slots = new Float64Array(steps + 1);
  let last = 0;
  const changeAt = (step: number) => values[step]! - (values[step - steps] ?? Number.NaN);
  return {
    step(step: number) {
      const change = changeAt(step);
      if (!Number.isNaN(change)) {
        if (byTime.length === CONFORMAL_WINDOW) sorted.splice(place(sorted, byTime.shift()!), 1);
        byTime.push(change);
        sorted.splice(place(sorted, change), 0, change);
      }
      if (!Number.isNaN(values[step]!)) last = values[step]!;
      const rank = Math.min(sorted.length, Math.ceil(0.95 * (sorted.length + 1))) - 1;
      slots[step % slots.length] = last + (sorted[Math.max(0, rank)] ?? 0);
    },
    /** The one that was made for `step`. */
    quantile: (step: number) => slots[(step - steps) % slots.length]!,
  };
}

function place(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function pinballLoss(truth: number, quantile: number, level: number): number {
  return truth >= quantile ? level * (truth - quantile) : (1 - level) * (quantile - truth);
}

const outside = (level: number, below: number, atOrBelow: number) =>
  Math.max(0, below - level, level - atOrBelow);
const ratio = (part: number, whole: number) =>
  whole > 0 ? part / whole : part > 0 ? Number.POSITIVE_INFINITY : 1;
const mean = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
