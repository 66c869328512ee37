/** Series out of what Prometheus' range API answers (`/api/v1/query_range`), as JSON text. */

import { type Row, type Series, seriesOf } from "./csv.ts";

/** One series as Prometheus has it: a row for each of its samples, with one value. */
export type RecordedSeries = { readonly name: string; readonly rows: readonly Row[] };

/**
 * Every series of the answer, each on the grid of its own step. Throws a RangeError that says what is wrong: no JSON, an
 * error of Prometheus, an answer of another query, no series in it.
 */
export function parsePrometheus(text: string): Series[] {
  const found = parsePrometheusRows(text);
  if (found.length === 0) throw new RangeError("no series: the query matched nothing in that range");
  return found.map(({ name, rows }) => {
    try {
      return seriesOf(rows, [name])[0]!;
    } catch (error) {
      throw new RangeError(`${name}: ${(error as Error).message}`, { cause: error });
    }
  });
}

/** The same with the times as they stand in the answer, none when the query matched nothing. */
export function parsePrometheusRows(text: string): RecordedSeries[] {
  const answer = asObject(parse(text));
  if (answer.status !== "success")
    throw new RangeError(`Prometheus answered ${JSON.stringify(answer.error ?? answer.status)}`);
  const { resultType, result } = asObject(answer.data);
  if (resultType !== "matrix" || !Array.isArray(result))
    throw new RangeError(`a result of type "${resultType}", wanted "matrix": ask query_range`);
  return result.map((one) => rowsOfResult(asObject(one)));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new RangeError("it is not JSON", { cause });
  }
}

function asObject(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw new RangeError("it is not an answer of Prometheus");
}

function rowsOfResult({ metric, values }: Record<string, unknown>): RecordedSeries {
  const name = nameOf(asObject(metric ?? {}));
  if (!Array.isArray(values)) throw new RangeError(`${name}: no values`);
  const rows = values.map((pair: unknown) => {
    const [seconds, text] = Array.isArray(pair) ? pair : [];
    if (typeof seconds !== "number" || typeof text !== "string")
      throw new RangeError(`${name}: ${JSON.stringify(pair)} is not a time and a value`);
    return { atMs: seconds * 1000, values: [valueOfText(text)] };
  });
  return { name, rows };
}

/** "NaN", "+Inf" and "-Inf" are no samples. */
function valueOfText(text: string): number {
  const value = Number(text);
  return Number.isFinite(value) ? value : Number.NaN;
}

/** As Prometheus writes it: name{label="value",...}. */
function nameOf({ __name__: name = "", ...labels }: Record<string, unknown>): string {
  const list = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return list.length === 0 ? String(name || "value") : `${name}{${list.join(",")}}`;
}
