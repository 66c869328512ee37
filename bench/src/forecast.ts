/**
 * How good the forecast is on real series: `--traces DIR [--json] [--folder NAME,...] [--limit N] [--seeds N] [--series]`.
 * One setting for all series; baselines run by the same code in the same run. `--limit` takes every n-th series so that
 * about N remain, `--series` prints each, `--skip overload,speed` leaves parts out. docs/forecasting.md explains the keys.
 */

import { LEVELS } from "@understudy/forecast/backtest";
import { createForecaster } from "@understudy/forecast/forecaster";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { FAMILIES, familySeries } from "./forecast-families.ts";
import { scoreLoweredThreshold, scoreOverload } from "./forecast-overload.ts";
import { reportAccuracy, reportOverload, worstRatio } from "./forecast-report.ts";
import { HORIZONS, type SeriesScore, scoreSeries } from "./forecast-scores.ts";
import { readSeries, type Series } from "./forecast-series.ts";
import { measureSpeed } from "./forecast-speed.ts";

const BUDGETS = [0.01, 0.05] as const;
const SEEDS_DEFAULT = 6;

export async function run(options: BenchOptions): Promise<BenchResult> {
  const dir = options.get("traces");
  if (dir === undefined) throw new RangeError("--traces DIR names the folder of the series");
  const skipped = (options.get("skip") ?? "").split(",");
  const series = chosen(readSeries(dir), options);
  const scores = series.map((one) =>
    scoreSeries(one, createForecaster({ stepMs: one.stepMs, horizons: HORIZONS, quantiles: LEVELS })),
  );
  const accuracy = skipped.includes("accuracy") ? {} : reportAccuracy(scores);
  const overload = skipped.includes("overload") ? {} : overloadTask(series, options);
  const speed = skipped.includes("speed") ? {} : measureSpeed();
  if (options.has("series")) for (const score of scores) console.log(seriesLine(score));
  const result = rounded({ ...accuracy, ...overload, ...speed });
  if (!options.has("json")) console.log(JSON.stringify(result, null, 2));
  return result;
}

function chosen(all: readonly Series[], options: BenchOptions): Series[] {
  const folders = options.get("folder")?.split(",");
  const match = options.get("match");
  const some = all.filter(
    ({ folder, name }) =>
      (folders?.includes(folder) ?? true) && (match === undefined || name.includes(match)),
  );
  const every = Math.max(1, Math.round(some.length / Number(options.get("limit") ?? some.length)));
  const from = Number(options.get("from") ?? 0);
  return some.filter((_, index) => index % every === from % every);
}

function overloadTask(series: readonly Series[], options: BenchOptions) {
  const seeds = Number(options.get("seeds") ?? SEEDS_DEFAULT);
  const report: Record<string, Record<string, unknown>> = {};
  for (const budget of BUDGETS) {
    const real = series.map((one) => scoreOverload(one, budget));
    const lowered = series.map((one) => scoreLoweredThreshold(one, budget));
    const families = FAMILIES.map((family) => [
      family,
      reportOverload(familySeries(family, seeds).map((one) => scoreOverload(one, budget))),
    ]);
    const folders = [...Map.groupBy(real, ({ folder }) => folder)].map(([folder, some]) => [
      folder,
      reportOverload(some),
    ]);
    report[budget] = {
      ...Object.fromEntries(families),
      ...Object.fromEntries(folders),
      real: reportOverload(real),
      realLoweredThreshold: reportOverload(lowered),
    };
  }
  return { recall: report, falseRate: falseRates(report) };
}

function falseRates(report: Readonly<Record<string, Record<string, unknown>>>) {
  return Object.fromEntries(
    Object.entries(report).map(([budget, families]) => [
      budget,
      Object.fromEntries(
        Object.entries(families).map(([name, one]) => [name, (one as { falseRate: number }).falseRate]),
      ),
    ]),
  );
}

function seriesLine(score: SeriesScore): string {
  const { folder, name, errors, pinball95, calibrationError, coverage } = score;
  const list = (numbers: readonly number[], digits = 3) =>
    numbers.map((one) => one.toFixed(digits)).join(" ");
  const vs = (method: string) =>
    list(
      errors.ours!.map((one, h) => one / errors[method]![h]!),
      2,
    );
  return [
    `${folder}/${name}`.slice(0, 44).padEnd(44),
    `ses ${vs("ses")}`,
    `best ${worstRatio(score).toFixed(2)}`,
    `pb ${list(pinball95, 2)}`,
    `cal ${list(calibrationError)}`,
    `cov ${list(coverage)}`,
  ].join(" | ");
}

function rounded<T>(value: T): T {
  const walk = (one: unknown): unknown => {
    if (typeof one === "number") return Number.isInteger(one) ? one : Number(one.toPrecision(4));
    if (Array.isArray(one)) return one.map(walk);
    if (one && typeof one === "object")
      return Object.fromEntries(Object.entries(one).map(([key, inner]) => [key, walk(inner)]));
    return one;
  };
  return walk(value) as T;
}
