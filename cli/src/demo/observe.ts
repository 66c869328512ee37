/**
 * What the services say on the bus, kept for the live view and the report. `note*` fold one message each; only
 * `watchCluster` touches the bus. A third party could do the same with a subscribe-only user.
 */

import type { Bus } from "@understudy/bus/bus";
import { followMessages } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Verdict } from "@understudy/model/instance";
import type { Event } from "@understudy/wire/gen/event";
import type { Prediction } from "@understudy/wire/gen/prediction";
import type { ReplicationPhase, ReplicationState } from "@understudy/wire/gen/replication";
import type { RoleChanged } from "@understudy/wire/gen/role";
import type { ScaleDecision, WeightDecision } from "@understudy/wire/gen/weight";
import { hlcFromWire } from "@understudy/wire/header";
import { rolesFromWire, verdictFromWire } from "@understudy/wire/roles";
import type { RolesAt, SharesAt } from "./report.ts";

const HISTORY_MAX = 100_000;
const SAYINGS_MAX = 200;
const SAMPLE_EVERY_MS = 250;
const SERVICE = "demo";

/** Something that was decided or happened, in a sentence. */
export type Saying = { readonly atMs: number; readonly what: string; readonly text: string };

export type DemandSample = {
  readonly atMs: number;
  readonly rps: number;
  /** What the instances that take reads carry together; NaN until it is known. */
  readonly capacityRps: number;
};

export type Forecast = { readonly aheadMs: number; readonly middleRps: number; readonly highRps: number };

export type Mirrored = {
  readonly phase: ReplicationPhase;
  readonly lagMs: number;
  readonly inSync: boolean;
  readonly seedPart: number;
};

export type Observed = {
  roles: RolesAt[];
  shares: SharesAt[];
  demand: DemandSample[];
  forecasts: readonly Forecast[];
  forecastReady: boolean;
  instanceRps: number;
  bindingSignal: string;
  /** By instance. */
  mirrored: Map<string, Mirrored>;
  verdicts: Map<string, Verdict>;
  /** By instance and incarnation: bytes of deltas each one was ever sent. */
  deltaBytes: Map<string, number>;
  stateBytes: number;
  decisions: Saying[];
  events: Saying[];
  /** Of weight decisions. */
  traceIds: string[];
};

export function nothingObserved(): Observed {
  return {
    roles: [],
    shares: [],
    demand: [],
    forecasts: [],
    forecastReady: false,
    instanceRps: Number.NaN,
    bindingSignal: "",
    mirrored: new Map(),
    verdicts: new Map(),
    deltaBytes: new Map(),
    stateBytes: 0,
    decisions: [],
    events: [],
    traceIds: [],
  };
}

function push<T>(list: T[], item: T, max: number): void {
  list.push(item);
  if (list.length > max) list.shift();
}

export function noteRoles(observed: Observed, message: RoleChanged): void {
  push(
    observed.roles,
    { atMs: hlcFromWire(message.header?.time).wallMs, roles: rolesFromWire(message) },
    HISTORY_MAX,
  );
}

export function noteWeights(observed: Observed, message: WeightDecision): void {
  const atMs = hlcFromWire(message.header?.time).wallMs;
  const readPpm = Object.fromEntries(message.shares.map((share) => [share.instance, share.readPpm]));
  push(observed.shares, { atMs, readPpm }, HISTORY_MAX);
  push(observed.traceIds, message.traceId, HISTORY_MAX);
  const text = message.reason?.text ?? "";
  if (text !== observed.decisions.findLast((saying) => saying.what.startsWith("weights"))?.text) {
    push(observed.decisions, { atMs, what: `weights ${message.reason?.rule ?? ""}`, text }, SAYINGS_MAX);
  }
}

export function noteScale(observed: Observed, message: ScaleDecision): void {
  const what = `scale ${message.reason?.rule ?? ""}`;
  const text = `${message.wantedShadows} wanted, ${message.presentShadows} there: ${message.reason?.text ?? ""}`;
  if (text === observed.decisions.findLast((saying) => saying.what.startsWith("scale"))?.text) return;
  push(observed.decisions, { atMs: hlcFromWire(message.header?.time).wallMs, what, text }, SAYINGS_MAX);
}

export function notePrediction(observed: Observed, message: Prediction): void {
  const atMs = hlcFromWire(message.header?.time).wallMs;
  observed.instanceRps = message.capacity?.instanceRps ?? Number.NaN;
  observed.bindingSignal = message.capacity?.bindingSignal ?? "";
  observed.forecastReady = message.ready;
  observed.forecasts = message.horizons.map((horizon) => ({
    aheadMs: horizon.aheadMs,
    middleRps: quantile(message.quantileLevels, horizon.totalRps, 0.5) ?? horizon.meanRps,
    highRps: quantile(message.quantileLevels, horizon.totalRps, 0.95) ?? horizon.meanRps,
  }));
  if (atMs - (observed.demand.at(-1)?.atMs ?? 0) < SAMPLE_EVERY_MS || !message.current) return;
  const carrying = Object.values(observed.shares.at(-1)?.readPpm ?? {}).filter((ppm) => ppm > 0).length;
  const rps = message.current.movableRps + message.current.immovableRps;
  const capacityRps = carrying === 0 ? Number.NaN : carrying * observed.instanceRps;
  push(observed.demand, { atMs, rps, capacityRps }, HISTORY_MAX);
}

function quantile(levels: readonly number[], values: readonly number[], level: number): number | undefined {
  const index = levels.findIndex((candidate) => Math.abs(candidate - level) < 1e-9);
  return values[index];
}

export function noteReplication(observed: Observed, message: ReplicationState): void {
  const total = Number(message.seedTotalBytes);
  observed.mirrored.set(message.instance, {
    phase: message.phase,
    lagMs: message.lagMs,
    inSync: message.inSync,
    seedPart: total === 0 ? 0 : Number(message.seedDoneBytes) / total,
  });
  const copy = `${message.instance}/${message.incarnation}`;
  observed.deltaBytes.set(copy, Math.max(Number(message.deltaBytes), observed.deltaBytes.get(copy) ?? 0));
  observed.stateBytes = Math.max(observed.stateBytes, Number(message.stateBytes));
}

export function noteEvent(observed: Observed, message: Event): void {
  const atMs = hlcFromWire(message.header?.time).wallMs;
  push(observed.events, { atMs, what: message.kind, text: message.text }, SAYINGS_MAX);
}

/** Follows everything about one resource until the signal aborts. Resolves then. */
export async function watchCluster(
  bus: Bus,
  { resource, observed, signal }: { resource: string; observed: Observed; signal: AbortSignal },
): Promise<void> {
  const one = { from: "last", signal, service: SERVICE, names: [resource] } as const;
  const every = { from: "last", signal, service: SERVICE } as const;
  const isOurs = (message: { header?: { resource: string } | undefined }) =>
    message.header?.resource === resource;
  await Promise.all([
    each(followMessages(bus, TOPICS.roles, one), (message) => noteRoles(observed, message)),
    each(followMessages(bus, TOPICS.weights, one), (message) => noteWeights(observed, message)),
    each(followMessages(bus, TOPICS.scale, one), (message) => noteScale(observed, message)),
    each(followMessages(bus, TOPICS.predictions, one), (message) => notePrediction(observed, message)),
    each(followMessages(bus, TOPICS.events, one), (message) => noteEvent(observed, message)),
    each(followMessages(bus, TOPICS.replication, every), (message) => {
      if (isOurs(message)) noteReplication(observed, message);
    }),
    each(followMessages(bus, TOPICS.health, every), (message) => {
      if (isOurs(message)) observed.verdicts.set(message.instance, verdictFromWire(message));
    }),
  ]);
}

async function each<M>(
  messages: AsyncIterable<{ readonly message: M }>,
  note: (message: M) => void,
): Promise<void> {
  for await (const { message } of messages) note(message);
}
