/** MetricBatch from the wire to rows by name, or the reason why it cannot be used. Columns may come in any order. */

import { METRIC_NAMES, type MetricName } from "@understudy/model/metric-names";
import { isLabel } from "@understudy/model/names";
import type { MetricBatch, MetricRow } from "@understudy/wire/gen/metrics";
import { hlcFromWire } from "@understudy/wire/header";
import { badLinks, type LinkSample } from "./link-samples.ts";

/** More would be a mistake: a host has hundreds of instances, not thousands. */
const ROWS_MAX = 5_000;
const COLUMNS_MAX = 256;
/** No rate, count or size of one instance is larger. */
const VALUE_MAX = 1e13;
const AHEAD_MAX_MS = 5_000;
const AGE_MAX_MS = 60_000;

export type Row = {
  readonly resource: string;
  /** Empty: the resource as its load balancer sees it. */
  readonly instance: string;
  /** NaN where it was not measured. */
  value(name: MetricName): number;
};

export type Batch = {
  readonly host: string;
  readonly atMs: number;
  readonly intervalMs: number;
  readonly rows: readonly Row[];
  readonly links: readonly LinkSample[];
};

const KNOWN: ReadonlySet<string> = new Set(METRIC_NAMES);

export function readBatch(message: MetricBatch, nowMs: number): { batch: Batch } | { reason: string } {
  const atMs = hlcFromWire(message.header?.time).wallMs;
  const { host, intervalMs, links } = message;
  const reason =
    badHead(message, { atMs, nowMs }) ?? badRows(message.rows) ?? badColumns(message) ?? badLinks(links);
  if (reason) return { reason };
  const columns = new Map(message.columns.map(({ name, values }) => [name, values]));
  const rows = message.rows.map(({ resource, instance }, index) => ({
    resource,
    instance,
    value: (name: MetricName) => columns.get(name)?.[index] ?? Number.NaN,
  }));
  return { batch: { host, atMs, intervalMs, rows, links } };
}

function badHead(message: MetricBatch, { atMs, nowMs }: { atMs: number; nowMs: number }): string | undefined {
  if (!isLabel(message.host)) return `host "${message.host.slice(0, 80)}" is not a DNS label`;
  if (!(message.intervalMs > 0)) return "interval_ms is 0";
  if (atMs > nowMs + AHEAD_MAX_MS) return `sampled ${Math.round(atMs - nowMs)} ms ahead of our clock`;
  if (atMs < nowMs - AGE_MAX_MS) return `sampled more than ${AGE_MAX_MS} ms ago`;
  if (message.rows.length > ROWS_MAX) return `${message.rows.length} rows, at most ${ROWS_MAX}`;
  if (message.columns.length > COLUMNS_MAX)
    return `${message.columns.length} columns, at most ${COLUMNS_MAX}`;
  return undefined;
}

function badRows(rows: readonly MetricRow[]): string | undefined {
  const seen = new Set<string>();
  for (const { resource, instance } of rows) {
    if (!isLabel(resource) || (instance !== "" && !isLabel(instance))) {
      return `row "${resource.slice(0, 80)}/${instance.slice(0, 80)}" is not named by DNS labels`;
    }
    const key = `${resource}/${instance}`;
    if (seen.has(key)) return `row ${key} is there twice`;
    seen.add(key);
  }
  return undefined;
}

function badColumns({ rows, columns }: MetricBatch): string | undefined {
  const seen = new Set<string>();
  for (const { name, values } of columns) {
    if (values.length !== rows.length) {
      return `column ${name.slice(0, 80)} has ${values.length} values for ${rows.length} rows`;
    }
    if (seen.has(name)) return `column ${name.slice(0, 80)} is there twice`;
    seen.add(name);
    // What we do not read may hold what it likes: a newer collector has columns that we do not know.
    const bad = KNOWN.has(name) ? values.findIndex(isImpossible) : -1;
    if (bad >= 0) return `${rows[bad]!.resource}/${rows[bad]!.instance}: ${name} is ${values[bad]}`;
  }
  return undefined;
}

function isImpossible(value: number): boolean {
  return !Number.isNaN(value) && !(value >= 0 && value <= VALUE_MAX);
}
