/** Pools scores of series into the keys that issue and documentation name, and prints them for people. */

import { LEVELS } from "@understudy/forecast/backtest";
import { LEADS } from "@understudy/forecast/overload-task";
import type { OverloadScore } from "./forecast-overload.ts";
import { HORIZONS, type SeriesScore } from "./forecast-scores.ts";

const WORSE_THAN = 1.02;
const WITHIN_POINTS = 0.02;
const LONG_SCORED = 2000;
/** A perfect forecast counts as this part of an imperfect one, or one series would decide the mean. */
const RATIO_MIN = 1e-3;
const Q95 = LEVELS.indexOf(0.95);

export type AccuracyReport = ReturnType<typeof reportAccuracy>;

export function reportAccuracy(scores: readonly SeriesScore[]) {
  const methods = [...new Set(scores.flatMap(({ errors }) => Object.keys(errors)))];
  const relTo = (method: string, other: string, h: number) =>
    pooled(scores, ({ errors }) => ratio(errors[method]?.[h], errors[other]?.[h]));
  const long = scores.filter(({ scored }) => scored >= LONG_SCORED);
  const vsSes = HORIZONS.map((_, h) => relTo("ours", "ses", h));
  return {
    series: scores.length,
    relMae: Object.fromEntries(methods.map((method) => [method, byHorizon((h) => relTo(method, "last", h))])),
    vsSes: byHorizon((h) => vsSes[h]!),
    vsSesAll: geometricMean(vsSes),
    neverWorseShare: mean(scores.map((score) => (worstRatio(score) <= WORSE_THAN ? 1 : 0))),
    pinball95: pooled(scores, ({ pinball95 }) =>
      geometricMean(pinball95.map((one) => Math.max(RATIO_MIN, one))),
    ),
    calibrationError: Object.fromEntries(
      LEVELS.map((level, q) => [level, mean(scores.map(({ calibrationError }) => calibrationError[q]!))]),
    ),
    seriesWithin2pts: mean(
      long.map(({ calibrationError }) => (calibrationError[Q95]! <= WITHIN_POINTS ? 1 : 0)),
    ),
    longSeries: long.length,
    floor: reportFloor(scores),
  };
}

/** Error over that of the best single baseline in hindsight, both as means over horizons relative to the last value. */
export function worstRatio({ errors }: SeriesScore): number {
  const total = (method: string) =>
    mean(HORIZONS.map((_, h) => ratio(errors[method]![h], errors.last![h]) ?? Number.POSITIVE_INFINITY));
  const best = Math.min(
    ...Object.keys(errors)
      .filter((method) => method !== "ours")
      .map(total),
  );
  return total("ours") / best;
}

function reportFloor(scores: readonly SeriesScore[]) {
  const counts = scores.filter(({ floor }) => floor !== undefined && floor > 0);
  const over = (method: string) =>
    geometricMean(counts.map(({ errors, floor }) => geometricMean(errors[method]!) / floor!));
  return {
    series: counts.length,
    oursOverFloor: over("ours"),
    sesOverFloor: over("ses"),
    lastOverFloor: over("last"),
  };
}

export function reportOverload(scores: readonly OverloadScore[]) {
  const sum = (of: (score: OverloadScore) => number) => scores.reduce((total, score) => total + of(score), 0);
  const events = sum((score) => score.events);
  return {
    events,
    recall: Object.fromEntries(LEADS.map((lead, i) => [lead, sum(({ foreseen }) => foreseen[i]!) / events])),
    falseRate: sum(({ falseTicks }) => falseTicks) / sum(({ quietTicks }) => quietTicks),
    quietTicks: sum(({ quietTicks }) => quietTicks),
  };
}

function byHorizon(of: (h: number) => number): Record<string, number> {
  return Object.fromEntries(HORIZONS.map((steps, h) => [steps, of(h)]));
}

/** Geometric mean within each folder, then across folders; series without the number are left out. */
function pooled(scores: readonly SeriesScore[], of: (score: SeriesScore) => number | undefined): number {
  const folders = Map.groupBy(scores, ({ folder }) => folder);
  const means = [...folders.values()].map((some) =>
    geometricMean(some.map(of).filter((one) => one !== undefined)),
  );
  return geometricMean(means.filter((one) => !Number.isNaN(one)));
}

/** Two errors of nothing are equal. */
function ratio(part: number | undefined, whole: number | undefined): number | undefined {
  if (part === undefined || whole === undefined) return undefined;
  if (whole === 0) return part === 0 ? 1 : undefined;
  return Math.max(RATIO_MIN, part / whole);
}

const mean = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
const geometricMean = (numbers: readonly number[]) => Math.exp(mean(numbers.map((one) => Math.log(one))));
