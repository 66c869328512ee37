/**
 * `understudy train RESOURCE FILE...`: recorded demand through the forecast of a resource, so that its predictor starts warm.
 * Shows what was learnt, and with `--data` puts it where a predictor that does not run yet will look.
 */

import { TOPICS } from "@understudy/bus/topics";
import { parseRows, timeMsOf } from "@understudy/forecast/csv";
import { parsePrometheusRows, type RecordedSeries } from "@understudy/forecast/prometheus";
import type { Configuration, ResourceSpec } from "@understudy/model/policy";
import { type HandedOver, handOver } from "@understudy/predictor/hand-over";
import { type Recorded, type Trained, train } from "@understudy/predictor/train";
import { parseConfiguration } from "@understudy/service/configuration";
import { formatMistake } from "@understudy/service/configuration-mistakes";
import { type Command, InvalidArgumentError } from "commander";
import { withConnection } from "../connect.ts";
import { CliError } from "../error.ts";
import { type Globals, print } from "../globals.ts";
import { readInput } from "../input.ts";
import { readPrometheus } from "../prometheus-api.ts";
import { readLast } from "../read-message.ts";
import { columnsNamed, durationOf, namesOf, readable, readRecorded } from "../recorded.ts";

/** More samples than this that repeat the one before look as if something had held them. */
const REPEATED_MAX = 0.5;

type TrainOptions = Globals & {
  readonly file?: string;
  readonly column?: string;
  readonly prometheus?: string;
  readonly query?: string;
  readonly from?: number;
  readonly to?: number;
  readonly data?: string;
  readonly replace: boolean;
};

const NOTES = `
Values are requests per second, reads and writes together, each in the interval before its time. Finer samples than
forecast.stepMs become means of its steps; coarser ones are refused: nobody knows what happened between them. Of several
files the later one counts where they overlap. A season keeps its phase by the clock, and is believed for 64 of its
cycles after the last sample.

  understudy train catalog requests.csv -f understudy.yaml --data /var/lib/understudy/predictor
  understudy train catalog --prometheus http://127.0.0.1:9090 --from 2026-11-23 --query 'sum(rate(requests_total[1m]))'
`;

export function addCommand(program: Command): void {
  program
    .command("train")
    .description(
      "let the forecast of a resource learn from recorded demand, so that its predictor starts warm",
    )
    .argument("<resource>", "whose demand was recorded")
    .argument(
      "[file...]",
      "CSV: a time (seconds, milliseconds or a date), then a value; or JSON of Prometheus' query_range; - for standard input",
    )
    .option("-f, --file <file>", "understudy.yaml with the resource (default: the configuration in force)")
    .option("--column <name>", "of a file with several, the one with this heading")
    .option("--prometheus <url>", "instead of files: ask this Prometheus")
    .option("--query <promql>", "for Prometheus: one series of requests per second")
    .option("--from <time>", "for Prometheus: the beginning", parseTime)
    .option("--to <time>", "for Prometheus: the end (default: now)", parseTime)
    .option("--data <folder>", "UNDERSTUDY_DATA_DIR of a predictor that is stopped: write it there")
    .option("--replace", "in place of what that predictor has learnt", false)
    .addHelpText("after", NOTES)
    .action((resource: string, files: string[], _options, command: Command) =>
      trainResource(resource, files, command.optsWithGlobals<TrainOptions>()),
    );
}

function parseTime(text: string): number {
  const atMs = timeMsOf(text);
  if (!Number.isFinite(atMs))
    throw new InvalidArgumentError("It must be seconds or milliseconds since 1970, or a date.");
  return atMs;
}

async function trainResource(
  resource: string,
  files: readonly string[],
  options: TrainOptions,
): Promise<void> {
  const spec = specOf(resource, await configurationOf(options));
  const nowMs = Date.now();
  const { source, recorded } =
    options.prometheus === undefined
      ? readFiles(files, options.column)
      : await askPrometheus(files, { options, spec, nowMs });
  const trained = readable(source, () => train(recorded, { policy: spec.forecast, nowMs }));
  const handed = await handTo(options, { spec, trained, nowMs });
  print(options, {
    text: () => renderTrained(spec, trained, { handed, nowMs }),
    json: () => ({ resource, written: handed?.file ?? null, ...toJson(spec, trained) }),
  });
}

async function configurationOf(options: TrainOptions): Promise<Configuration> {
  if (options.file !== undefined) {
    const { name, text } = readInput(options.file);
    return parsed(text, name);
  }
  return withConnection(options, async (connection) => {
    const read = ({ yaml, revision }: { yaml: string; revision: bigint }) => ({ yaml, revision });
    const last = await readLast(await connection.bus(), TOPICS.config, { names: [], read });
    if (!last) throw new CliError("failed", "no configuration is in force: name a file with -f");
    return parsed(last.yaml, `revision ${last.revision}`);
  });
}

function parsed(yaml: string, file: string): Configuration {
  const configuration = parseConfiguration(yaml, file);
  if (configuration.ok) return configuration.configuration;
  throw new CliError("invalid", configuration.mistakes.map(formatMistake).join("\n"));
}

function specOf(resource: string, { resources }: Configuration): ResourceSpec {
  const spec = resources.find(({ name }) => name === resource);
  if (spec) return spec;
  throw new CliError(
    "invalid",
    `no resource is named "${resource}"; the configuration has ${namesOf(resources) || "none"}`,
  );
}

function readFiles(files: readonly string[], column: string | undefined) {
  if (files.length === 0)
    throw new CliError(
      "invalid",
      "nothing to learn from: name files, or --prometheus with --query and --from",
    );
  const recorded = files.flatMap((file) => {
    const { source, recorded: columns } = readRecorded(file, {
      csv: columnsOf,
      prometheus: parsePrometheusRows,
    });
    const [only, ...others] = columnsNamed(columns, { source, column });
    if (!only || others.length > 0)
      throw new CliError("invalid", `${source}: name one of its series with --column: ${namesOf(columns)}`);
    return samplesOf(only);
  });
  return { source: files.join(", "), recorded };
}

function columnsOf(csv: string): RecordedSeries[] {
  const { names, rows } = parseRows(csv);
  return names.map((name, index) => ({
    name,
    rows: rows.map(({ atMs, values }) => ({ atMs, values: [values[index]!] })),
  }));
}

function samplesOf({ rows }: RecordedSeries): Recorded[] {
  const samples = rows.map(({ atMs, values }) => ({ atMs, rps: values[0]! }));
  return samples.filter(({ rps }) => !Number.isNaN(rps));
}

async function askPrometheus(
  files: readonly string[],
  { options, spec, nowMs }: { options: TrainOptions; spec: ResourceSpec; nowMs: number },
) {
  const { prometheus: url, query, from, to = nowMs } = options;
  if (files.length > 0) throw new CliError("invalid", "either files or --prometheus, not both");
  if (!url || !URL.canParse(url)) throw new CliError("invalid", `--prometheus "${url}" is no URL`);
  if (query === undefined || from === undefined)
    throw new CliError("invalid", "--prometheus needs --query and --from");
  if (from >= to) throw new CliError("invalid", "--from is not before --to");
  const series = await readPrometheus({ url, query, fromMs: from, toMs: to, stepMs: spec.forecast.stepMs });
  return { source: query, recorded: samplesOf(series) };
}

type Handed = Extract<HandedOver, { handed: true }>;

/** Undefined when nobody asked for it. */
async function handTo(
  { data, replace }: TrainOptions,
  { spec, trained, nowMs }: { spec: ResourceSpec; trained: Trained; nowMs: number },
): Promise<Handed | undefined> {
  if (data === undefined) return undefined;
  if (trained.holdsUntilMs < nowMs)
    throw new CliError(
      "invalid",
      `what was learnt held until ${timeOf(trained.holdsUntilMs)} and would be forgotten at once: train with newer demand`,
    );
  const handed = await writeTo(data, () =>
    handOver(data, { spec, demand: trained.demand }, { nowMs, replace }),
  );
  if (handed.handed) return handed;
  const since = durationOf(Math.max(0, nowMs - handed.sinceMs));
  switch (handed.why) {
    case "in use":
      throw new CliError(
        "failed",
        `a predictor works with ${data} (it said so ${since} ago) and would write over this: stop it first; if it was killed, wait half a minute`,
      );
    case "learnt already":
      throw new CliError(
        "invalid",
        `a predictor has learnt of ${spec.name} itself, kept ${since} ago: --replace takes its place`,
      );
  }
}

async function writeTo<T>(folder: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    throw new CliError("failed", `cannot write to ${folder}: ${(error as Error).message}`, { cause: error });
  }
}

function renderTrained(
  { name, forecast: { stepMs } }: ResourceSpec,
  { samples, everyMs, fromMs, untilMs, holdsUntilMs, repeated, levels, scorecard }: Trained,
  { handed, nowMs }: { handed: Handed | undefined; nowMs: number },
): string {
  const { periodSteps, maeVsLastValue, pinball95, coverage } = scorecard;
  const past = holdsUntilMs < nowMs ? ", which is past" : "";
  return [
    `${name}: ${samples} samples, one each ${durationOf(everyMs)}, ${timeOf(fromMs)} to ${timeOf(untilMs)}`,
    `  period    ${periodSteps > 0 ? durationOf(periodSteps * stepMs) : "none found"}`,
    `  error     ${figure(maeVsLastValue)} of the last value's`,
    `  pinball   ${figure(pinball95)} of the last value's`,
    `  coverage  ${coverage.map((part, q) => `${figure(part)} of ${levels[q]}`).join(", ")}`,
    `  holds     until ${timeOf(holdsUntilMs)}${past}: a longer time without samples, and the forecast starts anew`,
    ...(repeated > REPEATED_MAX
      ? [
          `  beware    ${figure(repeated)} of the samples repeat the one before: if they were held, not measured, choose a longer forecast.stepMs`,
        ]
      : []),
    handed
      ? `written to ${handed.file}: the predictor starts with it`
      : "nothing was written: name the folder of a stopped predictor with --data",
  ].join("\n");
}

function toJson({ forecast: { stepMs } }: ResourceSpec, trained: Trained) {
  const { samples, everyMs, fromMs, untilMs, holdsUntilMs, repeated, levels, scorecard } = trained;
  return {
    samples,
    everyMs,
    fromMs,
    untilMs,
    holdsUntilMs,
    repeated,
    periodMs: scorecard.periodSteps * stepMs,
    scored: scorecard.scored,
    maeVsLastValue: scorecard.maeVsLastValue,
    pinball95: scorecard.pinball95,
    coverage: scorecard.coverage.map((part, q) => ({ level: levels[q]!, part })),
  };
}

function figure(value: number): string {
  return Number.isFinite(value) ? value.toFixed(3) : "-";
}

function timeOf(atMs: number): string {
  return new Date(atMs).toISOString();
}
