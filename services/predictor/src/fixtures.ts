/** Messages for the predictor's tests. */

import { create } from "@bufbuild/protobuf";
import type { Instance } from "@understudy/model/instance";
import type { Configuration, ResourceSpec } from "@understudy/model/policy";
import { parseConfiguration } from "@understudy/service/configuration";
import { type MetricBatch, MetricBatchSchema } from "@understudy/wire/gen/metrics";
import {
  ReplicationPhase,
  type ReplicationState,
  ReplicationStateSchema,
} from "@understudy/wire/gen/replication";
import { headerToWire } from "@understudy/wire/header";
import type { LinkSample } from "./link-samples.ts";

/** Wall time at which the tests begin. */
export const START_MS = 1_790_000_000_000;

export const YAML = `
resources:
  - name: catalog
    run: { command: [app] }
    state: { paths: [a.db], consistency: sqlite }
    capacity: { signals: [busyWorkers, cpuCores], target: 0.8, initialRps: 150 }
    routing: { pool: web }
    shadows: { min: 1, max: 4, warmUpMs: 2000, createMs: 2000 }
    health: { http: /healthz }
    metrics: { path: /metrics, map: { busyWorkers: busy, workers: workers, queuedRequests: queue, servedPerSecond: served } }
    forecast: { stepMs: 1000, horizonMs: 6000, quantile: 0.95 }
pools:
  - { name: web, driver: memory, backends: { reads: r, writes: w }, frontend: "127.0.0.1:1" }
`;

export function exampleConfiguration(yaml = YAML): Configuration {
  const parsed = parseConfiguration(yaml, "understudy.yaml");
  if (!parsed.ok) throw new Error(parsed.mistakes.map(({ message }) => message).join("; "));
  return parsed.configuration;
}

export function exampleSpec(): ResourceSpec {
  return exampleConfiguration().resources[0]!;
}

/** One measured row: the metrics it has, by name. */
export type Measured = {
  readonly resource?: string;
  readonly instance?: string;
  readonly [metric: string]: string | number | undefined;
};

/** Columns in the order in which the rows name them; NaN where a row does not have one. */
export function metricBatch(
  rows: readonly Measured[],
  {
    atMs,
    host = "host-a",
    intervalMs = 100,
    links = [],
  }: { atMs: number; host?: string; intervalMs?: number; links?: readonly LinkSample[] },
): MetricBatch {
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  names.delete("resource");
  names.delete("instance");
  return create(MetricBatchSchema, {
    header: headerToWire({ time: { wallMs: atMs, counter: 0 }, source: `collector@${host}` }),
    host,
    intervalMs,
    rows: rows.map(({ resource = "catalog", instance = "" }) => ({ resource, instance })),
    columns: [...names].map((name) => ({ name, values: rows.map((row) => Number(row[name] ?? Number.NaN)) })),
    links: links.map((link) => ({ ...link })),
  });
}

const MIB = 1024 * 1024;

/** What the mirror of the instance catalog-2 says while it is copied. */
export function copyingState(
  doneBytes: number,
  {
    atMs,
    totalBytes = 64 * MIB,
    stateBytes = 64 * MIB,
    incarnation = "a",
    phase = ReplicationPhase.SEEDING,
  }: {
    atMs: number;
    totalBytes?: number;
    stateBytes?: number;
    incarnation?: string;
    phase?: ReplicationPhase;
  },
): ReplicationState {
  return create(ReplicationStateSchema, {
    header: headerToWire({ resource: "catalog", time: { wallMs: atMs, counter: 0 }, source: "replicator" }),
    instance: "catalog-2",
    incarnation,
    phase,
    seedDoneBytes: BigInt(Math.floor(doneBytes)),
    seedTotalBytes: BigInt(totalBytes),
    stateBytes: BigInt(stateBytes),
  });
}

export function servingInstance(
  name: string,
  readyAtMs: number,
  phase: Instance["phase"] = "serving",
): Instance {
  return {
    name,
    incarnation: "a",
    host: "host-a",
    role: "shadow",
    phase,
    address: "127.0.0.1:40001",
    gateAddress: "127.0.0.1:40002",
    pid: 1,
    pidStartTicks: 1,
    requestedAtMs: readyAtMs,
    readyAtMs,
  };
}
