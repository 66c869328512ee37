/** Recorded series out of Prometheus' HTTP API (`/api/v1/query_range`): as many queries as its limit of points asks for. */

import { parsePrometheusRows, type RecordedSeries } from "@understudy/forecast/prometheus";
import { CliError } from "./error.ts";
import { namesOf, readable } from "./recorded.ts";

/** Prometheus answers at most 11,000 points of a series. */
const POINTS_MAX = 10_000;
const QUERIES_MAX = 500;
const ANSWER_WITHIN_MS = 60_000;

export type RangeQuery = {
  /** Such as http://prometheus:9090, with a path where it has one. */
  readonly url: string;
  readonly query: string;
  readonly fromMs: number;
  readonly toMs: number;
  readonly stepMs: number;
};

/** The one series that the query gives in that range, in steps that lie on whole multiples of themselves. */
export async function readPrometheus(range: RangeQuery): Promise<RecordedSeries> {
  const { stepMs } = range;
  const fromMs = Math.ceil(range.fromMs / stepMs) * stepMs;
  const points = Math.floor((range.toMs - fromMs) / stepMs) + 1;
  const queries = Math.ceil(points / POINTS_MAX);
  if (queries > QUERIES_MAX) {
    const most = (QUERIES_MAX * POINTS_MAX * stepMs) / 3_600_000;
    throw new CliError("invalid", `--from lies too far back for steps of ${stepMs} ms: at most ${most} h`);
  }
  const parts: RecordedSeries[] = [];
  for (let index = 0; index < queries; index += 1) {
    const startMs = fromMs + index * POINTS_MAX * stepMs;
    const endMs = Math.min(range.toMs, startMs + (POINTS_MAX - 1) * stepMs);
    parts.push(...(await ask({ ...range, fromMs: startMs, toMs: endMs })));
  }
  const [first] = parts;
  if (!first) throw new CliError("invalid", `${range.query}: it matched nothing in that range`);
  return { name: first.name, rows: parts.flatMap(({ rows }) => rows) };
}

async function ask({ url, query, fromMs, toMs, stepMs }: RangeQuery): Promise<RecordedSeries[]> {
  const seconds = (ms: number) => String(ms / 1_000);
  const parameters = { query, start: seconds(fromMs), end: seconds(toMs), step: seconds(stepMs) };
  const text = await answerOf(
    `${url.replace(/\/+$/, "")}/api/v1/query_range?${new URLSearchParams(parameters)}`,
  );
  const found = readable(url, () => parsePrometheusRows(text));
  if (found.length > 1) {
    const some = namesOf(found.slice(0, 3));
    throw new CliError(
      "invalid",
      `${query}: ${found.length} series (${some}, ...), wanted one: ask for their sum`,
    );
  }
  return found;
}

async function answerOf(url: string): Promise<string> {
  const { origin } = new URL(url);
  let response: Response;
  let text: string;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    text = await response.text();
  } catch (error) {
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? cause.message || message : message;
    throw new CliError("failed", `Prometheus at ${origin} does not answer (${why}): is it running?`, {
      cause: error,
    });
  }
  // Prometheus says in JSON what is wrong with a query; whoever answers otherwise is not Prometheus.
  if (response.ok || text.trimStart().startsWith("{")) return text;
  throw new CliError("failed", `${origin} answered HTTP ${response.status}: is it Prometheus' own address?`);
}
