/** Values for tests: a resource "catalog" as the demo has it, its roles, and what is said about them. */

import type { Instance, Roles, Verdict, VerdictState } from "@understudy/model/instance";
import type { LinkForecast } from "@understudy/model/link-forecast";
import { type Configuration, NO_FILES, type PoolSpec, type ResourceSpec } from "@understudy/model/policy";
import type { Freshness, Load, Prediction } from "./inputs.ts";

export const RESOURCE = "catalog";

export const POOL: PoolSpec = {
  name: "web",
  driver: "memory",
  socket: "",
  backends: { reads: "reads", writes: "writes" },
  slots: 8,
  frontend: "127.0.0.1:8080",
};

export const SPEC: ResourceSpec = {
  name: RESOURCE,
  kind: "process",
  driver: "memory",
  run: { command: ["catalog"], env: {}, readyWithinMs: 10_000 },
  state: { ...NO_FILES, paths: ["catalog.db"], consistency: "sqlite", tickMs: 100, critical: "in-sync" },
  capacity: { signals: ["busyWorkers"], limits: {}, target: 0.85, initialRps: 170 },
  routing: {
    pool: "web",
    reads: ["GET", "HEAD"],
    maxShadowShare: 0.9,
    maxStalenessMs: 2_000,
    onlyStale: "refuse",
  },
  shadows: { min: 1, max: 4, hosts: [], warmUpMs: 2_000, createMs: 2_000, holdMs: 2_000 },
  health: { http: "/healthz", tcp: false, exec: [], intervalMs: 100, timeoutMs: 300, rise: 2, fall: 3 },
  metrics: { path: "/metrics", map: {} },
  forecast: {
    policy: "predictive",
    stepMs: 1_000,
    quantile: 0.95,
    horizonMs: 10_000,
    reactiveTarget: 0.8,
    reactiveHoldMs: 5_000,
  },
  lease: { durationMs: 3_000 },
  mode: "act",
};

export function configurationOf(spec: ResourceSpec = SPEC): Configuration {
  return { resources: [spec], pools: [POOL], hosts: [] };
}

export function instanceOf(name: string, more: Partial<Instance> = {}): Instance {
  return {
    name,
    incarnation: `${name}-i1`,
    host: "host-a",
    role: "shadow",
    phase: "serving",
    address: `${name}.test:80`,
    gateAddress: `${name}.test:81`,
    pid: 0,
    pidStartTicks: 0,
    requestedAtMs: 0,
    readyAtMs: 0,
    ...more,
  };
}

export function rolesOf(instances: readonly Instance[], { epoch = 1, primary = "" } = {}): Roles {
  return { resource: RESOURCE, epoch, primary, instances };
}

export function verdictOf(
  { name, incarnation }: Pick<Instance, "name" | "incarnation">,
  state: VerdictState,
): Verdict {
  return { resource: RESOURCE, instance: name, incarnation, state, sinceMs: 0, evidence: [] };
}

export function freshnessOf(
  { name, incarnation }: Pick<Instance, "name" | "incarnation">,
  lagMs: number,
): Freshness {
  return { resource: RESOURCE, instance: name, incarnation, live: true, lagMs };
}

export const LEVELS = [0.5, 0.9, 0.95, 0.99];

/** `ahead`: total demand by horizon, ms; every quantile the same. */
export function predictionOf(
  totalRps: number,
  {
    sampledAtMs,
    ahead = {},
    movablePart = 0.9,
    links = [],
  }: {
    sampledAtMs: number;
    ahead?: Record<number, number>;
    movablePart?: number;
    links?: readonly LinkForecast[];
  },
): Prediction {
  const horizons = Object.entries(ahead).map(([aheadMs, value]) => ({
    aheadMs: Number(aheadMs),
    totalRps: LEVELS.map(() => value),
  }));
  return {
    resource: RESOURCE,
    ready: horizons.length > 0,
    stepMs: 1_000,
    levels: LEVELS,
    horizons,
    current: { movableRps: totalRps * movablePart, immovableRps: totalRps * (1 - movablePart) },
    instanceRps: 170,
    bindingSignal: "busyWorkers",
    links,
    sampledAtMs,
  };
}

/** The same at each level and horizon. */
export function linkOf({ roundTripMs = 0, loss = 0, seedMs = 0, toHost = "host-b" }): LinkForecast {
  return {
    fromHost: "host-a",
    toHost,
    levels: [0.05, 0.95],
    horizons: [1_000, 5_000].map((aheadMs) => ({
      aheadMs,
      roundTripMs: [roundTripMs, roundTripMs],
      loss: [loss, loss],
    })),
    bytesPerSecond: [],
    seedMs,
  };
}

export function loadOf(
  totalRps: number | undefined,
  {
    sampledAtMs,
    busy = {},
    workers = 8,
  }: { sampledAtMs: number; busy?: Record<string, number>; workers?: number },
): Load {
  return {
    resource: RESOURCE,
    demand: totalRps === undefined ? undefined : { movableRps: totalRps * 0.9, immovableRps: totalRps * 0.1 },
    busy: Object.entries(busy).map(([instance, busyWorkers]) => ({ instance, busyWorkers, workers })),
    sampledAtMs,
  };
}
