/** Everything the balancer knows about one resource. A value: each decision makes the next one. */

import { HLC_DRIFT_MAX_MS } from "@understudy/model/hlc";
import type { Roles, Verdict } from "@understudy/model/instance";
import type { PoolSpec, ResourceSpec } from "@understudy/model/policy";
import type { Plan } from "@understudy/traffic/driver";
import type { Limit, Seen } from "./candidates.ts";
import { type Demand, type Load, type Prediction, totalOf } from "./inputs.ts";
import { NO_REACTIVE, noteBusy, type Reactive } from "./reactive.ts";
import { NO_SCALE, type Scale } from "./scale.ts";
import { NO_SHIFT, type Shift } from "./shift.ts";

/** Predictions and metrics older than this are not believed. */
export const STALE_MS = 1_000;
const FAST_MS = 200;
const SLOW_MS = 1_000;
const MOVABLE_MS = 5_000;

/** Demand as it is there, smoothed. */
export type Observed = {
  readonly fastRps: number;
  readonly slowRps: number;
  /** Part that any fresh instance may serve, 0..1. */
  readonly movablePart: number;
  readonly seenAtMs: number;
  readonly sampledAtMs: number;
};

export type Control =
  | { readonly kind: "auto" }
  /** Weights are held until Resume; health and roles still act. */
  | { readonly kind: "paused" }
  | { readonly kind: "manual"; readonly readPpm: ReadonlyMap<string, number> };

export type ResourceState = {
  readonly spec: ResourceSpec;
  readonly pool: PoolSpec;
  readonly roles: Roles | undefined;
  readonly verdicts: ReadonlyMap<string, Verdict>;
  readonly freshness: ReadonlyMap<string, Seen>;
  readonly prediction: (Prediction & { readonly seenAtMs: number }) | undefined;
  /** Of the newest prediction that had one: outlives the prediction itself. */
  readonly instanceRps: number;
  readonly observed: Observed | undefined;
  readonly shift: Shift;
  readonly scale: Scale;
  readonly scaleRevision: number;
  readonly reactive: Reactive;
  readonly control: Control;
  /** False until the load balancer has told what is in force: nothing is applied before. */
  readonly recovered: boolean;
  /** The last plan decided, or the one found in force. */
  readonly plan: Plan | undefined;
  readonly shares: ReadonlyMap<string, number>;
  readonly limits: ReadonlyMap<string, Limit>;
  readonly decidedAtMs: number;
  /** The newest sample that a decision was made on. */
  readonly usedSampleMs: number;
  readonly saidAtMs: number;
  readonly scaleSaidAtMs: number;
  readonly disobeyed: number;
};

export function newResource(spec: ResourceSpec, pool: PoolSpec): ResourceState {
  return {
    spec,
    pool,
    roles: undefined,
    verdicts: new Map(),
    freshness: new Map(),
    prediction: undefined,
    instanceRps: spec.capacity.initialRps,
    observed: undefined,
    shift: NO_SHIFT,
    scale: NO_SCALE,
    scaleRevision: 0,
    reactive: NO_REACTIVE,
    control: { kind: "auto" },
    recovered: false,
    plan: undefined,
    shares: new Map(),
    limits: new Map(),
    decidedAtMs: 0,
    usedSampleMs: 0,
    saidAtMs: 0,
    scaleSaidAtMs: 0,
    disobeyed: 0,
  };
}

export function hearPrediction(state: ResourceState, prediction: Prediction, nowMs: number): ResourceState {
  if (isAhead(prediction.sampledAtMs, nowMs)) return state;
  const instanceRps = prediction.instanceRps > 0 ? prediction.instanceRps : state.instanceRps;
  const heard = { ...state, prediction: { ...prediction, seenAtMs: nowMs }, instanceRps };
  return observe(heard, prediction.current, { sampledAtMs: prediction.sampledAtMs, nowMs });
}

export function hearLoad(state: ResourceState, load: Load, nowMs: number): ResourceState {
  if (isAhead(load.sampledAtMs, nowMs)) return state;
  // One that only starts would make the others look idle.
  const serving = load.busy.filter(({ instance }) =>
    state.roles?.instances.some(({ name, phase }) => name === instance && phase === "serving"),
  );
  const heard = { ...state, reactive: noteBusy(state.reactive, serving, state.spec.capacity.limits) };
  return load.demand ? observe(heard, load.demand, { sampledAtMs: load.sampledAtMs, nowMs }) : heard;
}

function observe(
  state: ResourceState,
  demand: Demand,
  { sampledAtMs, nowMs }: { sampledAtMs: number; nowMs: number },
): ResourceState {
  const rps = totalOf(demand);
  if (!Number.isFinite(rps) || rps < 0) return state;
  const part = rps > 0 ? demand.movableRps / rps : (state.observed?.movablePart ?? 1);
  const before = isFresh(state.observed, nowMs) ? state.observed : undefined;
  const after = (old: number | undefined, value: number, windowMs: number) =>
    old === undefined
      ? value
      : old + (value - old) * (1 - Math.exp(-Math.max(0, nowMs - before!.seenAtMs) / windowMs));
  const observed: Observed = {
    fastRps: after(before?.fastRps, rps, FAST_MS),
    slowRps: after(before?.slowRps, rps, SLOW_MS),
    movablePart: after(before?.movablePart, part, MOVABLE_MS),
    seenAtMs: nowMs,
    sampledAtMs: Math.max(sampledAtMs, before?.sampledAtMs ?? 0),
  };
  return { ...state, observed };
}

/** By a clock that is so far ahead of ours it would look like the newest for all that time, and what follows like old. */
export function isAhead(sampledAtMs: number, nowMs: number): boolean {
  return sampledAtMs - nowMs > HLC_DRIFT_MAX_MS;
}

export function isFresh<T extends { readonly seenAtMs: number; readonly sampledAtMs: number }>(
  heard: T | undefined,
  nowMs: number,
): heard is T {
  // A backlog that the bus delivers after a gap is new here and old all the same.
  return (
    heard !== undefined && nowMs - heard.seenAtMs <= STALE_MS && nowMs - heard.sampledAtMs <= 2 * STALE_MS
  );
}

export function presentShadows(roles: Roles): number {
  return roles.instances.filter(
    ({ role, phase }) => role === "shadow" && phase !== "gone" && phase !== "draining",
  ).length;
}
