/**
 * The core of the predictor: which rows of a batch count, for what, and what is then said about each resource. Event in;
 * the next state and the effects out. What was learnt of a resource (its demand and its capacity) is updated in place,
 * because its arrays must not be copied ten times a second.
 */

import type { Roles } from "@understudy/model/instance";
import type { LinkForecast } from "@understudy/model/link-forecast";
import type { Configuration, ResourceSpec } from "@understudy/model/policy";
import { owns, type Shard, WHOLE } from "@understudy/model/shard";
import type { MetricBatch } from "@understudy/wire/gen/metrics";
import type { ReplicationState } from "@understudy/wire/gen/replication";
import { type Batch, type Row, readBatch } from "./batch.ts";
import { type Capacity, type CapacityView, createCapacity, fullInstanceRps } from "./capacity.ts";
import { type Copying, followCopy, NO_COPYING, type Progress, readProgress } from "./copying.ts";
import { createDemand, type Demand, type DemandView, offeredFrom } from "./demand.ts";
import type { Learnt } from "./learnt.ts";
import { type Links, observeCopy, observeProbes, viewLinks, watchLinks } from "./links.ts";
import { utilisationAhead } from "./utilisation.ts";

/** The host whose collector reads the pool speaks for a resource until it was silent for so long. */
const SOURCE_SILENT_MS = 1_000;
/** So many samples in a row that are not newer mean that the clock of their host was set back. */
const LATE_IN_ROW_MAX = 8;
/** The same complaint is made once in this time, for a batch comes ten times a second. */
const COMPLAIN_EVERY_MS = 10_000;
const COMPLAINTS_MAX = 256;

type Source = {
  readonly host: string;
  readonly heardMs: number;
  readonly sampledMs: number;
  readonly late: number;
};

export type Watched = {
  readonly spec: ResourceSpec;
  readonly demand: Demand;
  readonly capacity: Capacity;
  readonly source: Source | undefined;
};

export type State = {
  /** Which resources are its own: the others are another predictor's. */
  readonly shard: Shard;
  /** Names of all resources, also of those that are not its own. */
  readonly configured: ReadonlySet<string>;
  /** Undefined until there was a configuration: then no resource is unknown yet. */
  readonly watched: ReadonlyMap<string, Watched> | undefined;
  readonly roles: ReadonlyMap<string, Roles>;
  readonly links: Links;
  /** By resource. */
  readonly copying: ReadonlyMap<string, Copying>;
  readonly complaints: ReadonlyMap<string, number>;
};

export type Event =
  | {
      readonly kind: "configured";
      readonly configuration: Configuration;
      /** By resource, what an earlier process had learnt. */
      readonly recalled?: ReadonlyMap<string, Learnt>;
    }
  | { readonly kind: "roles"; readonly roles: Roles }
  | { readonly kind: "metrics"; readonly message: MetricBatch }
  | { readonly kind: "replication"; readonly message: ReplicationState };

export type PredictionView = {
  readonly resource: string;
  readonly stepMs: number;
  readonly sampledMs: number;
  readonly demand: DemandView;
  readonly capacity: CapacityView;
  /** Of each horizon, at the levels of its demand; see utilisationAhead. */
  readonly utilisation: readonly (readonly number[])[];
  readonly links: readonly LinkForecast[];
};

export type Effect =
  | { readonly kind: "predict"; readonly prediction: PredictionView }
  | { readonly kind: "reject"; readonly reason: string };

export type Decision = { readonly next: State; readonly effects: readonly Effect[] };

export const INITIAL: State = {
  shard: WHOLE,
  configured: new Set(),
  watched: undefined,
  roles: new Map(),
  links: new Map(),
  copying: new Map(),
  complaints: new Map(),
};

/** `nowMs` is wall time. */
export function decide(state: State, event: Event, nowMs: number): Decision {
  switch (event.kind) {
    case "configured":
      return { next: configure(state, event), effects: [] };
    case "roles": {
      const roles = new Map(state.roles).set(event.roles.resource, event.roles);
      const isOwn = owns(state.shard, event.roles.resource);
      const links = isOwn ? watchLinks(state.links, event.roles) : state.links;
      return { next: { ...state, roles, links }, effects: [] };
    }
    case "metrics": {
      const read = readBatch(event.message, nowMs);
      if ("reason" in read) {
        // Every shard reads it; one says what is wrong with it.
        if (!owns(state.shard, event.message.host)) return { next: state, effects: [] };
        return complain(state, [`${hostOf(event.message)}: ${read.reason}`], nowMs);
      }
      observeProbes(state.links, read.batch, nowMs);
      return takeBatch(state, read.batch, nowMs);
    }
    case "replication": {
      const read = readProgress(event.message);
      if ("reason" in read && !owns(state.shard, event.message.header?.resource ?? "")) {
        return { next: state, effects: [] };
      }
      if ("reason" in read) return complain(state, [read.reason], nowMs);
      return { next: takeProgress(state, read.progress), effects: [] };
    }
  }
}

function hostOf({ host }: MetricBatch): string {
  return `host ${host.slice(0, 80)}`;
}

/** What was learnt is kept as long as the part of the policy stands that it was learnt under. */
function configure(state: State, { configuration, recalled }: Extract<Event, { kind: "configured" }>): State {
  const own = configuration.resources.filter(({ name }) => owns(state.shard, name));
  const watched = new Map(
    own.map((spec): [string, Watched] => {
      const known = state.watched?.get(spec.name);
      const learnt = known ? undefined : recalled?.get(spec.name);
      const sameForecast = known && isSame(known.spec.forecast, spec.forecast);
      const sameCapacity = known && isSame(known.spec.capacity, spec.capacity);
      return [
        spec.name,
        {
          spec,
          demand: sameForecast ? known.demand : createDemand(spec.forecast, learnt?.demand),
          capacity: sameCapacity ? known.capacity : createCapacity(spec.capacity, learnt?.capacity),
          source: known?.source,
        },
      ];
    }),
  );
  const roles = new Map([...state.roles].filter(([name]) => watched.has(name)));
  const copying = new Map([...state.copying].filter(([name]) => watched.has(name)));
  const configured = new Set(configuration.resources.map(({ name }) => name));
  return { ...state, configured, watched, roles, copying };
}

function isSame(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function takeBatch(state: State, batch: Batch, nowMs: number): Decision {
  if (!state.watched) return { next: state, effects: [] };
  const reasons: string[] = [];
  const effects: Effect[] = [];
  const watched = new Map(state.watched);
  for (const row of batch.rows) {
    const known = watched.get(row.resource);
    if (!known && !owns(state.shard, row.resource)) continue;
    if (!known) reasons.push(`host ${batch.host}: resource ${row.resource} is not in the configuration`);
    else if (row.instance !== "")
      observeInstance(known, { row, batch, roles: state.roles.get(row.resource) });
    else {
      const took = takeResource(known, { row, batch, roles: state.roles.get(row.resource), nowMs });
      watched.set(row.resource, took.next);
      if (took.prediction) {
        const links = linksOf(state, row.resource, nowMs);
        effects.push({ kind: "predict", prediction: { ...took.prediction, links } });
      }
      if (took.reason) reasons.push(took.reason);
    }
  }
  const complained = complain({ ...state, watched }, reasons, nowMs);
  return { next: complained.next, effects: [...effects, ...complained.effects] };
}

/** Only an instance that has been ready for its warm-up says what a warm one carries. */
function observeInstance(
  { capacity, spec }: Watched,
  { row, batch, roles }: { row: Row; batch: Batch; roles: Roles | undefined },
): void {
  const instance = roles?.instances.find(({ name }) => name === row.instance);
  if (instance?.phase !== "serving" || instance.readyAtMs === 0) return;
  if (batch.atMs - instance.readyAtMs > spec.shadows.warmUpMs) capacity.observe(row, batch.atMs);
}

function linksOf({ links, roles, copying }: State, resource: string, nowMs: number): readonly LinkForecast[] {
  const { stateBytes } = copying.get(resource) ?? NO_COPYING;
  return viewLinks(links, roles.get(resource), { stateBytes, nowMs });
}

/** Of instances that nobody knows nothing is said. */
function takeProgress(state: State, progress: Progress): State {
  const { resource, instance } = progress;
  const roles = state.roles.get(resource);
  if (!state.watched?.has(resource) || !roles?.instances.some(({ name }) => name === instance)) return state;
  const before = state.copying.get(resource) ?? NO_COPYING;
  const { copying, bytesPerSecond } = followCopy(before, progress);
  if (bytesPerSecond !== undefined) observeCopy(state.links, roles, { instance, bytesPerSecond });
  return { ...state, copying: new Map(state.copying).set(resource, copying) };
}

type Took = {
  readonly next: Watched;
  readonly prediction?: Omit<PredictionView, "links">;
  readonly reason?: string;
};

function takeResource(
  known: Watched,
  { row, batch, roles, nowMs }: { row: Row; batch: Batch; roles: Roles | undefined; nowMs: number },
): Took {
  const { demand, capacity, spec, source } = known;
  const where = `host ${batch.host}: resource ${row.resource}`;
  const offered = offeredFrom(row, batch);
  if (!offered)
    return { next: known, reason: `${where}: readsPerSecond or writesPerSecond was not measured` };
  const isOther = source !== undefined && source.host !== batch.host;
  if (isOther && nowMs - source.heardMs < SOURCE_SILENT_MS) {
    return { next: known, reason: `${where}: host ${source.host} already reports its demand` };
  }
  const late = source !== undefined && batch.atMs <= source.sampledMs ? source.late + 1 : 0;
  if (source && late > 0 && late < LATE_IN_ROW_MAX) {
    const reason = `${where}: sampled at ${batch.atMs}, not after the last sample`;
    return { next: { ...known, source: { ...source, late } }, reason };
  }
  const serving = roles?.instances.filter(({ phase }) => phase === "serving").length ?? 0;
  demand.observe(offered, carriedRps(known, serving));
  const view = demand.view()!;
  const carries = { capacity: capacity.view(), serving, target: spec.capacity.target };
  return {
    next: { ...known, source: { host: batch.host, heardMs: nowMs, sampledMs: batch.atMs, late: 0 } },
    prediction: {
      resource: row.resource,
      stepMs: spec.forecast.stepMs,
      sampledMs: batch.atMs,
      demand: view,
      capacity: carries.capacity,
      utilisation: utilisationAhead(view.horizons, carries),
    },
  };
}

/** What the serving instances carry when each is full; NaN while nobody is known to serve. */
function carriedRps({ capacity, spec }: Watched, serving: number): number {
  return serving > 0 ? serving * fullInstanceRps(capacity.view(), spec.capacity.target) : Number.NaN;
}

/** Rejects each reason once in a while. */
function complain(state: State, reasons: readonly string[], nowMs: number): Decision {
  if (reasons.length === 0) return { next: state, effects: [] };
  const recent = [...state.complaints].filter(([, atMs]) => nowMs - atMs < COMPLAIN_EVERY_MS);
  const complaints = new Map(recent.slice(-COMPLAINTS_MAX));
  const fresh = [...new Set(reasons)].filter((reason) => !complaints.has(withoutNumbers(reason)));
  const said = fresh.slice(0, COMPLAINTS_MAX);
  for (const reason of said) complaints.set(withoutNumbers(reason), nowMs);
  return { next: { ...state, complaints }, effects: said.map((reason) => ({ kind: "reject", reason })) };
}

/** The same complaint about another value is the same complaint. */
function withoutNumbers(reason: string): string {
  return reason.replace(/\d[\d.e+-]*/g, "#");
}
