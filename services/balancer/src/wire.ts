/** Between messages and the balancer's own words. What a message cannot mean is refused with a RangeError. */

import { create } from "@bufbuild/protobuf";
import type { Hlc } from "@understudy/model/hlc";
import type { Applied, Plan } from "@understudy/traffic/driver";
import { EventSchema, type Event as WireEvent } from "@understudy/wire/gen/event";
import type { Hlc as WireHlc } from "@understudy/wire/gen/header";
import { type LbApplied, LbAppliedSchema, type LbCommand, LbCommandSchema } from "@understudy/wire/gen/lb";
import type { MetricBatch } from "@understudy/wire/gen/metrics";
import type { Prediction as WirePrediction } from "@understudy/wire/gen/prediction";
import { ReplicationPhase, type ReplicationState } from "@understudy/wire/gen/replication";
import {
  ScaleDecisionSchema,
  WeightDecisionSchema,
  type ScaleDecision as WireScale,
  type WeightDecision as WireWeights,
} from "@understudy/wire/gen/weight";
import { headerToWire, hlcFromWire, hlcToWire } from "@understudy/wire/header";
import { linksFromWire } from "@understudy/wire/link-forecast";
import type { Notice, Reason, ScaleDecision, WeightDecision } from "./decision.ts";
import type { Busy, Demand, Freshness, Load, Prediction } from "./inputs.ts";
import { inputsToWire } from "./inputs-to-wire.ts";

/** When and by whom something is said. */
export type About = { readonly time: Hlc; readonly source: string };

export function predictionFromWire(wire: WirePrediction): Prediction {
  const { current, capacity } = wire;
  if (!current) throw new RangeError("a prediction without current demand");
  if (!isRate(current.movableRps) || !isRate(current.immovableRps))
    throw new RangeError("demand is no number that can be");
  const levels = wire.quantileLevels;
  const horizons = wire.horizons.map(({ aheadMs, totalRps }) => {
    if (totalRps.length !== levels.length)
      throw new RangeError(`${totalRps.length} quantiles for ${levels.length} levels`);
    if (!totalRps.every(isRate))
      throw new RangeError(`the forecast ${aheadMs} ms ahead is no number that can be`);
    return { aheadMs, totalRps };
  });
  const instanceRps = capacity?.instanceRps ?? 0;
  return {
    resource: wire.header?.resource ?? "",
    ready: wire.ready && horizons.length > 0,
    stepMs: wire.stepMs,
    levels,
    horizons,
    current: { movableRps: current.movableRps, immovableRps: current.immovableRps },
    instanceRps: isRate(instanceRps) ? instanceRps : 0,
    bindingSignal: capacity?.bindingSignal ?? "",
    links: linksFromWire(wire.links),
    sampledAtMs: timeFromWire(wire.sampledAt ?? wire.header?.time),
  };
}

/**
 * Beyond these nothing real is measured. Without them sums and quotients of what comes in could overflow into infinity and
 * NaN, and demand once held would take for ever to be let go.
 */
const RATE_MAX = 1e9;
const WORKERS_MAX = 1e6;

function isCount(value: number): boolean {
  return Number.isFinite(value) && value >= 0;
}

function isRate(value: number): boolean {
  return isCount(value) && value <= RATE_MAX;
}

/** 0, which is stale, for a time that no clock shows: as the newest ever it would make all that follows look old. */
function timeFromWire(wire: WireHlc | undefined): number {
  const { wallMs } = hlcFromWire(wire);
  return Number.isSafeInteger(wallMs) ? wallMs : 0;
}

/**
 * One load per resource in the batch. Columns that do not fit the rows, and values that cannot be, are the predictor's to
 * reject: here they are unknown.
 */
export function loadsFromWire(batch: MetricBatch): readonly Load[] {
  const columns = new Map(
    batch.columns
      .filter(({ values }) => values.length === batch.rows.length)
      .map((column) => [column.name, column.values]),
  );
  const value = (name: string, row: number) => columns.get(name)?.[row] ?? Number.NaN;
  const loads = new Map<string, { demand: Demand | undefined; busy: Busy[] }>();
  for (const [row, { resource, instance }] of batch.rows.entries()) {
    const load = loads.get(resource) ?? { demand: undefined, busy: [] };
    loads.set(resource, load);
    if (instance !== "") {
      load.busy.push(busyOf(instance, value("busyWorkers", row), value("workers", row)));
      continue;
    }
    const [movableRps, immovableRps] = [value("readsPerSecond", row), value("writesPerSecond", row)];
    if (isRate(movableRps) && isRate(immovableRps)) load.demand = { movableRps, immovableRps };
  }
  const sampledAtMs = timeFromWire(batch.header?.time);
  return [...loads].map(([resource, load]) => ({ resource, sampledAtMs, ...load }));
}

function busyOf(instance: string, busyWorkers: number, workers: number): Busy {
  const isKnown =
    isCount(busyWorkers) && busyWorkers <= WORKERS_MAX && workers >= 1 && workers <= WORKERS_MAX;
  return isKnown
    ? { instance, busyWorkers, workers }
    : { instance, busyWorkers: Number.NaN, workers: Number.NaN };
}

export function freshnessFromWire(wire: ReplicationState): Freshness {
  const isPrimary = wire.phase === ReplicationPhase.PRIMARY;
  return {
    resource: wire.header?.resource ?? "",
    instance: wire.instance,
    incarnation: wire.incarnation,
    live: isPrimary || wire.phase === ReplicationPhase.LIVE,
    lagMs: isCount(wire.lagMs) ? wire.lagMs : Number.POSITIVE_INFINITY,
  };
}

/** The shares that a person sets by hand. */
export function sharesFromWire(command: LbCommand): ReadonlyMap<string, number> {
  return new Map(command.targets.map((target) => [target.instance, target.drain ? 0 : target.readPpm]));
}

export function weightsToWire(decision: WeightDecision, traceId: string, about: About): WireWeights {
  const { resource, pool, revision, epoch, shares, reason, sampledAtMs, inputs } = decision;
  return create(WeightDecisionSchema, {
    header: headerToWire({ resource, ...about }),
    revision: BigInt(revision),
    epoch: BigInt(epoch),
    pool,
    shares: shares.map((share) => ({ ...share })),
    reason: reasonToWire(reason),
    ...(sampledAtMs > 0 ? { sampledAt: hlcToWire({ wallMs: sampledAtMs, counter: 0 }) } : {}),
    traceId,
    inputs: inputsToWire(inputs),
  });
}

export function scaleToWire(decision: ScaleDecision, about: About): WireScale {
  const { resource, revision, wantedShadows, presentShadows, reason } = decision;
  return create(ScaleDecisionSchema, {
    header: headerToWire({ resource, ...about }),
    revision: BigInt(revision),
    wantedShadows,
    presentShadows,
    reason: reasonToWire(reason),
  });
}

function reasonToWire({ rule, text, inputs, alternatives, unshiftableRps }: Reason) {
  return {
    rule,
    text,
    inputs: { ...inputs },
    alternatives: alternatives.map((one) => ({ ...one })),
    unshiftableRps,
  };
}

export function commandToWire(plan: Plan, resource: string, about: About): LbCommand {
  return create(LbCommandSchema, {
    header: headerToWire({ resource, ...about }),
    pool: plan.pool,
    revision: BigInt(plan.revision),
    epoch: BigInt(plan.epoch),
    targets: plan.targets.map((target) => ({ ...target })),
  });
}

export type Outcome =
  | { readonly ok: true; readonly applied: Applied; readonly sampleToAppliedMs: number }
  | { readonly ok: false; readonly error: string };

/** What the load balancer answered to a plan. */
export function appliedToWire(
  plan: Plan,
  outcome: Outcome,
  about: About & { readonly resource: string },
): LbApplied {
  const set = new Map(
    outcome.ok ? outcome.applied.shares.map((share) => [share.instance, share.setPpm]) : [],
  );
  return create(LbAppliedSchema, {
    header: headerToWire(about),
    pool: plan.pool,
    revision: BigInt(plan.revision),
    epoch: BigInt(plan.epoch),
    ok: outcome.ok,
    error: outcome.ok ? "" : outcome.error,
    shares: plan.targets.map(({ instance, readPpm }) => ({
      instance,
      wantedPpm: readPpm,
      setPpm: set.get(instance) ?? 0,
    })),
    verifiedBy: outcome.ok ? "acknowledged" : "",
    sampleToAppliedMs: outcome.ok ? outcome.sampleToAppliedMs : 0,
  });
}

export type MeasuredShare = {
  readonly instance: string;
  readonly wantedPpm: number;
  readonly setPpm: number;
  /** Undefined: too few requests to tell. */
  readonly measuredPpm: number | undefined;
};

/** What traffic does under a plan. */
export function measuredToWire(
  plan: Plan,
  shares: readonly MeasuredShare[],
  about: About & { readonly resource: string },
): LbApplied {
  return create(LbAppliedSchema, {
    header: headerToWire(about),
    pool: plan.pool,
    revision: BigInt(plan.revision),
    epoch: BigInt(plan.epoch),
    ok: true,
    shares: shares.map(({ measuredPpm, ...share }) =>
      measuredPpm === undefined ? share : { ...share, measuredPpm },
    ),
    verifiedBy: "counters",
  });
}

export function noticeToWire({ resource, what, text, instance }: Notice, about: About): WireEvent {
  return create(EventSchema, { header: headerToWire({ resource, ...about }), kind: what, text, instance });
}
