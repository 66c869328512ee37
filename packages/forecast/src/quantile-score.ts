/**
 * How good forecasts were, online: each is kept until the sample it was made for comes. The opponent is the last value,
 * with a conformal margin for the upper quantile.
 */

import type { Forecast } from "./forecaster.ts";

/** The level whose pinball loss is compared. */
const UPPER = 0.95;
const MEDIAN = 0.5;
/** The opponent's upper quantile: the last value plus this quantile of so many last changes. */
const CONFORMAL_WINDOW = 500;

export type ScoreOptions = {
  /** One per step; NaN where there was no sample. */
  readonly values: Float64Array;
  /** In steps, ascending, as the forecaster has them; likewise the levels, with 0.5 and 0.95 among them. */
  readonly horizons: readonly number[];
  readonly levels: readonly number[];
  /** Forecasts made before this step are not judged. */
  readonly from: number;
};

export type QuantileScore = {
  /** Forecasts of the first horizon that were judged. */
  readonly scored: number;
  /** Mean absolute error of the median by horizon, and that of the last value. */
  readonly errors: readonly number[];
  readonly lastValueErrors: readonly number[];
  /** Pinball loss of the 0.95 quantile by horizon, over the opponent's. */
  readonly pinball95: readonly number[];
  /** By level, mean over horizons: distance of the level from [share of truths below, share at or below]. */
  readonly calibrationError: readonly number[];
  /** By level, mean over horizons: share of truths at or below. */
  readonly coverage: readonly number[];
};

export type QuantileAccount = {
  /** `forecast` as it is after the sample of this step. */
  step(step: number, value: number, forecast: Forecast): void;
  read(): QuantileScore;
};

export function createQuantileAccount(options: ScoreOptions): QuantileAccount {
  const { values, horizons, levels, from } = options;
  const [median, upper] = [levels.indexOf(MEDIAN), levels.indexOf(UPPER)];
  if (median < 0 || upper < 0) throw new RangeError(`levels must hold ${MEDIAN} and ${UPPER}`);
  const pending = createPending(horizons, levels.length);
  const opponents = horizons.map((steps) => createConformalLast(values, steps));
  const zeros = () => horizons.map(() => new Float64Array(levels.length));
  const [below, atOrBelow] = [zeros(), zeros()];
  const sum = () => new Float64Array(horizons.length);
  const [counts, error, lastError, pinball, opponentPinball] = [sum(), sum(), sum(), sum(), sum()];

  function score(step: number, value: number, h: number): void {
    const quantiles = pending.at(step - horizons[h]!, h);
    const opponent = opponents[h]!;
    add(counts, h, 1);
    add(error, h, Math.abs(value - quantiles[median]!));
    add(lastError, h, Math.abs(value - opponent.last(step)));
    add(pinball, h, pinballLoss(value, quantiles[upper]!, UPPER));
    add(opponentPinball, h, pinballLoss(value, opponent.quantile(step), UPPER));
    for (let q = 0; q < levels.length; q += 1) {
      if (value < quantiles[q]!) add(below[h]!, q, 1);
      if (value <= quantiles[q]!) add(atOrBelow[h]!, q, 1);
    }
  }

  const means = (sums: Float64Array) => [...sums].map((one, h) => one / counts[h]!);
  const calibrationAt = (level: number, q: number) =>
    mean(horizons.map((_, h) => outside(level, below[h]![q]! / counts[h]!, atOrBelow[h]![q]! / counts[h]!)));
  return {
    step(step, value, forecast) {
      for (let h = 0; h < horizons.length; h += 1) {
        if (step - horizons[h]! >= from && !Number.isNaN(value)) score(step, value, h);
        opponents[h]!.step(step);
      }
      for (let h = 0; h < horizons.length; h += 1) pending.at(step, h).set(forecast.horizons[h]!.quantiles);
    },
    read: () => ({
      scored: counts[0]!,
      errors: means(error),
      lastValueErrors: means(lastError),
      pinball95: [...pinball].map((one, h) => ratio(one, opponentPinball[h]!)),
      calibrationError: levels.map(calibrationAt),
      coverage: levels.map((_, q) => mean(horizons.map((_, h) => atOrBelow[h]![q]! / counts[h]!))),
    }),
  };
}

/** Forecasts that wait for their sample: `width` numbers for each horizon. */
export function createPending(horizons: readonly number[], width: number) {
  const slots = horizons.at(-1)! + 1;
  const stored = new Float64Array(slots * horizons.length * width).fill(Number.NaN);
  const offset = (step: number, h: number) => ((step % slots) * horizons.length + h) * width;
  return {
    /** Where the forecasts made at `step` stand. */
    at: (step: number, h: number) => stored.subarray(offset(step, h), offset(step, h) + width),
  };
}

/** The last value, plus the 0.95 quantile of the last 500 changes over the same number of steps. */
function createConformalLast(values: Float64Array, steps: number) {
  const sorted: number[] = [];
  const byTime: number[] = [];
  const [quantiles, lasts] = [new Float64Array(steps + 1), new Float64Array(steps + 1)];
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
      const rank = Math.min(sorted.length, Math.ceil(UPPER * (sorted.length + 1))) - 1;
      lasts[step % lasts.length] = last;
      quantiles[step % quantiles.length] = last + (sorted[Math.max(0, rank)] ?? 0);
    },
    /** Those that were made for `step`. */
    quantile: (step: number) => quantiles[(step - steps) % quantiles.length]!,
    last: (step: number) => lasts[(step - steps) % lasts.length]!,
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

function add(sums: Float64Array, index: number, amount: number): void {
  sums[index] = sums[index]! + amount;
}

const outside = (level: number, below: number, atOrBelow: number) =>
  Math.max(0, below - level, level - atOrBelow);
const ratio = (part: number, whole: number) =>
  whole > 0 ? part / whole : part > 0 ? Number.POSITIVE_INFINITY : 1;
const mean = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0) / numbers.length;
