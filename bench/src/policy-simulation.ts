/**
 * A whole demo run in a second: the real cores of predictor and balancer over a simulated cluster, in closed loop and
 * under a clock of its own. What they hear are the messages that a collector would send, each 100 ms; what they decide is
 * obeyed. The same input gives the same result.
 */

import { create } from "@bufbuild/protobuf";
import { decide as decideBalance, NO_STATE } from "@understudy/balancer/decide";
import type { Event as BalancerEvent, State as BalancerState } from "@understudy/balancer/events";
import { loadsFromWire, predictionFromWire } from "@understudy/balancer/wire";
import type { Arrival, Phases } from "@understudy/cli/demo/demand";
import { SLO_MS } from "@understudy/cli/demo/report";
import type { Roles } from "@understudy/model/instance";
import type { Configuration } from "@understudy/model/policy";
import {
  decide as decidePrediction,
  INITIAL,
  type State as PredictorState,
} from "@understudy/predictor/decide";
import { predictionToWire } from "@understudy/predictor/prediction";
import { type MetricBatch, MetricBatchSchema } from "@understudy/wire/gen/metrics";
import { headerToWire } from "@understudy/wire/header";
import { type Cluster, createCluster, type InstanceLoad } from "./simulated-cluster.ts";

const START_MS = 1_790_000_000_000;
const TICK_MS = 100;
/** As the report of the demo counts. */
const OVERLOAD_PART = 0.01;

export type Outcome = { readonly overloadSeconds: number; readonly shadowSeconds: number };

export type SimulationOptions = {
  readonly configuration: Configuration;
  readonly workers: number;
  readonly serviceMs: number;
  readonly phases: Phases;
  readonly seed: number;
  /** Hears every decision about the number of shadows, for people who want to know why. */
  readonly onScale?: (atMs: number, text: string) => void;
};

export function simulatePolicy(arrivals: readonly Arrival[], options: SimulationOptions): Outcome {
  const { phases, seed, workers, serviceMs } = options;
  const spec = options.configuration.resources[0]!;
  const cluster = createCluster({
    resource: spec.name,
    startMs: START_MS,
    workers,
    serviceMs,
    warmUpMs: spec.shadows.warmUpMs,
    standingShadows: spec.shadows.min,
    seed,
  });
  const cores = createCores(cluster, options);
  const endMs = phases.learningMs + phases.scoredMs;
  const seconds = new Map<number, { all: number; over: number }>();
  let tickMs = 0;
  for (const { atMs, kind } of arrivals) {
    if (atMs >= endMs) break;
    for (; tickMs <= atMs; tickMs += TICK_MS) cores.tick(START_MS + tickMs);
    const latencyMs = cluster.serve(kind, START_MS + atMs);
    if (atMs < phases.learningMs) continue;
    const second = Math.floor(atMs / 1_000);
    const counts = seconds.get(second) ?? { all: 0, over: 0 };
    seconds.set(second, { all: counts.all + 1, over: counts.over + (latencyMs > SLO_MS ? 1 : 0) });
  }
  return {
    overloadSeconds: [...seconds.values()].filter(({ all, over }) => over > all * OVERLOAD_PART).length,
    shadowSeconds: cluster.shadowSeconds(START_MS + phases.learningMs, START_MS + endMs),
  };
}

/** Predictor and balancer, and the wires between them and the cluster. */
function createCores(cluster: Cluster, { configuration, workers, onScale }: SimulationOptions) {
  const resource = configuration.resources[0]!.name;
  let predictor: PredictorState = INITIAL;
  let balancer: BalancerState = NO_STATE;
  let roles: Roles | undefined;

  function hear(event: BalancerEvent, nowMs: number): void {
    const { next, effects } = decideBalance(balancer, event, nowMs);
    balancer = next;
    for (const effect of effects) {
      if (effect.kind === "apply") cluster.apply(effect.plan);
      else if (effect.kind === "say-scale") cluster.scale(effect.decision.wantedShadows, nowMs);
      else if (effect.kind === "notice") onScale?.(nowMs - START_MS, effect.notice.text);
    }
  }

  function hearRoles(nowMs: number): void {
    const news = cluster.advance(nowMs);
    if (!news) return;
    roles = news;
    predictor = decidePrediction(predictor, { kind: "roles", roles }, nowMs).next;
    hear({ kind: "roles", roles }, nowMs);
  }

  predictor = decidePrediction(predictor, { kind: "configured", configuration }, START_MS).next;
  hear({ kind: "configured", configuration }, START_MS);
  const pool = configuration.pools[0]!.name;
  hear({ kind: "recovered", pool, plan: undefined }, START_MS);

  return {
    tick(nowMs: number): void {
      for (const { name, incarnation } of roles?.instances ?? []) {
        const freshness = { resource, instance: name, incarnation, live: true, lagMs: 0 };
        hear({ kind: "freshness", freshness }, nowMs);
      }
      hearRoles(nowMs);
      const batch = batchOf(cluster.read(TICK_MS, nowMs), { resource, workers, nowMs });
      for (const load of loadsFromWire(batch)) hear({ kind: "load", load }, nowMs);
      const decided = decidePrediction(predictor, { kind: "metrics", message: batch }, nowMs);
      predictor = decided.next;
      for (const effect of decided.effects) {
        if (effect.kind !== "predict") throw new Error(`the predictor refused a batch: ${effect.reason}`);
        const about = { time: { wallMs: nowMs, counter: 0 }, source: "predictor@host-a" };
        const prediction = predictionFromWire(predictionToWire(effect.prediction, about));
        hear({ kind: "prediction", prediction }, nowMs);
      }
      hear({ kind: "tick" }, nowMs);
    },
  };
}

function batchOf(
  loads: readonly InstanceLoad[],
  { resource, workers, nowMs }: { resource: string; workers: number; nowMs: number },
): MetricBatch {
  const sum = (of: (load: InstanceLoad) => number) => loads.reduce((all, load) => all + of(load), 0);
  const column = (name: string, whole: number, of: (load: InstanceLoad) => number) => ({
    name,
    values: [whole, ...loads.map(of)],
  });
  const reads = ({ readsPerSecond }: InstanceLoad) => readsPerSecond;
  const writes = ({ writesPerSecond }: InstanceLoad) => writesPerSecond;
  return create(MetricBatchSchema, {
    header: headerToWire({ time: { wallMs: nowMs, counter: 0 }, source: "collector@host-a" }),
    host: "host-a",
    intervalMs: TICK_MS,
    rows: [{ resource, instance: "" }, ...loads.map(({ name }) => ({ resource, instance: name }))],
    columns: [
      column("readsPerSecond", sum(reads), reads),
      column("writesPerSecond", sum(writes), writes),
      column("busyWorkers", Number.NaN, ({ busyWorkers }) => busyWorkers),
      column("workers", Number.NaN, () => workers),
      column("queuedRequests", Number.NaN, ({ queuedRequests }) => queuedRequests),
      column("servedPerSecond", Number.NaN, ({ servedPerSecond }) => servedPerSecond),
    ],
  });
}
