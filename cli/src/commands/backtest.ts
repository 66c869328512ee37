/**
 * `understudy backtest FILE...`: what the forecast would have said of recorded series. Each column of each CSV file goes
 * through the engine sample by sample; nothing running is asked.
 */

import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type Backtest, backtest, LEVELS } from "@understudy/forecast/backtest";
import { parseSeries, type Series } from "@understudy/forecast/csv";
import { LEADS, WITHIN_STEPS } from "@understudy/forecast/overload-task";
import { parsePrometheus } from "@understudy/forecast/prometheus";
import { type Command, InvalidArgumentError } from "commander";
import { renderChart } from "../backtest/chart.ts";
import { CliError } from "../error.ts";
import { type Globals, print, renderTable } from "../globals.ts";
import { columnsNamed, durationOf, readRecorded } from "../recorded.ts";

/** Below that there is nothing to judge once the warm-up is off. */
const STEPS_MIN = 100;
const HORIZON_MAX = 1_000;
const HORIZONS_MAX = 16;

type BacktestOptions = Globals & {
  readonly column?: string;
  readonly horizons: readonly number[];
  readonly warmUp: number;
  readonly threshold?: number;
  readonly budget: number;
  readonly charts?: string;
};

type Tested = { readonly name: string; readonly series: Series; readonly test: Backtest };

export function addCommand(program: Command): void {
  program
    .command("backtest")
    .description("run recorded series through the forecast, and show how good it would have been")
    .argument(
      "<file...>",
      "CSV: a time (seconds, milliseconds or a date), then one series a column; or JSON of Prometheus' query_range; - for standard input",
    )
    .option("--column <name>", "only the column with this heading")
    .option("--horizons <steps>", "how far ahead, in steps, ascending", parseHorizons, [1, 5, 15, 30])
    .option(
      "--warm-up <part>",
      "of the series in which nothing is judged, 0.05 to 0.9",
      partBetween(0.05, 0.9),
      0.3,
    )
    .option("--threshold <value>", "to be warned of (default: 90th percentile of the warm-up)", parseNumber)
    .option(
      "--budget <part>",
      "of quiet steps in which an alarm may stand, 0.001 to 0.2",
      partBetween(0.001, 0.2),
      0.01,
    )
    .option("--charts <folder>", "write an SVG of each series there")
    .action((files: string[], _options, command: Command) =>
      backtestFiles(files, command.optsWithGlobals<BacktestOptions>()),
    );
}

function parseHorizons(text: string): number[] {
  const horizons = text.split(",").map(Number);
  const rising = horizons.every((steps, index) => index === 0 || steps > horizons[index - 1]!);
  if (horizons.length > HORIZONS_MAX)
    throw new InvalidArgumentError(`At most ${HORIZONS_MAX} can be looked at at once.`);
  const whole = horizons.every((steps) => Number.isInteger(steps) && steps >= 1 && steps <= HORIZON_MAX);
  if (!rising || !whole)
    throw new InvalidArgumentError(
      `They must be whole numbers from 1 to ${HORIZON_MAX}, ascending, for example 1,5,15.`,
    );
  return horizons;
}

function partBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const part = parseNumber(text);
    if (part < min || part > max)
      throw new InvalidArgumentError(`It must be a number from ${min} to ${max}.`);
    return part;
  };
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("It must be a number.");
  return value;
}

function backtestFiles(files: readonly string[], options: BacktestOptions): void {
  const all = files.flatMap((file) => seriesOf(file, options.column));
  const tested = all.map(({ name, series }, index): Tested => {
    if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${index + 1} of ${all.length}: ${name}`);
    return { name, series, test: testOf(series, options) };
  });
  if (process.stderr.isTTY) process.stderr.write("\r\x1b[K");
  if (options.charts !== undefined) writeCharts(options.charts, tested, options);
  print(options, {
    text: () => renderTested(tested, options),
    json: () => ({ series: tested.map((one) => toJson(one, options)) }),
  });
}

function seriesOf(file: string, column: string | undefined): { name: string; series: Series }[] {
  const { source, recorded: columns } = readRecorded<readonly Series[]>(file, {
    csv: parseSeries,
    prometheus: parsePrometheus,
  });
  const wanted = columnsNamed(columns, { source, column });
  const short = wanted.find(({ values }) => values.length < STEPS_MIN);
  if (short)
    throw new CliError(
      "invalid",
      `${source}: ${short.name} has ${short.values.length} steps, at least ${STEPS_MIN} are needed`,
    );
  const stem = basename(source).replace(/\.(csv|json)$/, "");
  return wanted.map((series) => ({ name: columns.length > 1 ? `${stem}/${series.name}` : stem, series }));
}

function testOf({ values, stepMs }: Series, options: BacktestOptions): Backtest {
  const { horizons, warmUp, threshold, budget } = options;
  return backtest(values, {
    stepMs,
    horizons,
    warmUpPart: warmUp,
    threshold,
    falseAlarmBudget: budget,
    bandHorizon: bandHorizonOf(horizons),
  });
}

/** The longest that is not longer than the alarm looks; the first when all are. */
function bandHorizonOf(horizons: readonly number[]): number {
  return horizons.findLast((steps) => steps <= WITHIN_STEPS) ?? horizons[0]!;
}

function renderTested(tested: readonly Tested[], { horizons, charts, budget }: BacktestOptions): string {
  const head = [
    "series",
    "steps",
    "of",
    "period",
    ...horizons.map((steps) => `error +${steps}`),
    ...LEVELS.slice(1).map((level) => `<= q${level}`),
    "events",
    ...LEADS.map((lead) => `>= ${lead} ahead`),
    "false",
  ];
  const notes = [
    "error +N: mean error of the median N steps ahead, as a part of the last value's; below 1 is better than no forecast.",
    "<= qP: part of the truths at or below quantile P, which should be P.",
    `events: times the threshold was crossed out of quiet; >= L ahead: how many had an alarm at least L steps before; false: part of quiet steps with one (budget ${budget}).`,
    ...(charts === undefined ? [] : [`charts: ${charts}`]),
  ];
  return `${renderTable([head, ...tested.map((one) => rowOf(one, horizons))])}\n\n${notes.join("\n")}`;
}

function rowOf({ name, series, test }: Tested, horizons: readonly number[]): string[] {
  const { quantiles, alarms } = test;
  return [
    name,
    String(test.steps),
    durationOf(series.stepMs),
    test.periodSteps > 0 ? durationOf(test.periodSteps * series.stepMs) : "-",
    ...horizons.map((_, h) => figure(quantiles.errors[h]! / quantiles.lastValueErrors[h]!)),
    ...quantiles.coverage.slice(1).map(figure),
    String(alarms.events),
    ...alarms.foreseen.map(String),
    figure(alarms.falseTicks / alarms.quietTicks),
  ];
}

function figure(value: number): string {
  return Number.isFinite(value) ? value.toFixed(3) : "-";
}

/** Figures that do not exist, such as those of a series without one quiet step, are null. */
function toJson({ name, series, test }: Tested, { horizons, budget }: BacktestOptions) {
  const { quantiles, alarms, threshold, warmUpSteps, periodSteps } = test;
  return {
    name,
    stepMs: series.stepMs,
    steps: test.steps,
    warmUpSteps,
    scored: quantiles.scored,
    periodSteps,
    horizons: horizons.map((steps, h) => ({
      steps,
      error: quantiles.errors[h]!,
      lastValueError: quantiles.lastValueErrors[h]!,
      pinball95: quantiles.pinball95[h]!,
    })),
    quantiles: LEVELS.map((level, q) => ({
      level,
      coverage: quantiles.coverage[q]!,
      calibrationError: quantiles.calibrationError[q]!,
    })),
    alarms: { threshold, budget, leads: LEADS, ...alarms },
  };
}

function writeCharts(folder: string, tested: readonly Tested[], { horizons }: BacktestOptions): void {
  const levels = `black: what came; blue: median to 0.95 quantile, foreseen ${bandHorizonOf(horizons)} steps before; grey: warm-up; dashed: threshold; red: alarm`;
  try {
    mkdirSync(folder, { recursive: true });
    for (const [index, { name, series, test }] of tested.entries()) {
      const file = `${String(index + 1).padStart(2, "0")}-${name.replace(/[^\w.-]+/g, "-").slice(0, 80)}.svg`;
      writeFileSync(join(folder, file), renderChart({ title: name, series, levels }, test));
    }
  } catch (error) {
    throw new CliError("failed", `cannot write charts to ${folder}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
