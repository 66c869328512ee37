/**
 * What a run came to, in the words of "Words that measure": from the client's own records and from what the services
 * said on the bus. Nothing here reads a clock or a file.
 */

import type { Roles } from "@understudy/model/instance";
import { PPM } from "@understudy/model/share";
import type { Curve, Phases } from "./demand.ts";
import {
  hasFailed,
  isIdempotent,
  isWrite,
  type LoadResult,
  percentile,
  type RequestRecord,
} from "./records.ts";

export const SLO_MS = 200;
/** More than this part of a second's requests failed or late makes an overload second. */
const OVERLOAD_PART = 0.01;
const FLAP_PPM = 50_000;
const FLAP_WITHIN_MS = 60_000;
const EPISODE_STEP_MS = 100;
/** Two excesses of demand this close are one. */
const EPISODE_GAP_MS = 3_000;
const LATE_MAX_MS = 5;
const NOISE_MAX = 0.2;

/** Roles as announced, at the time of their message (wall clock). */
export type RolesAt = { readonly atMs: number; readonly roles: Roles };

export type SharesAt = { readonly atMs: number; readonly readPpm: Readonly<Record<string, number>> };

export type RunFacts = {
  readonly load: LoadResult;
  readonly phases: Phases;
  readonly curve: Curve;
  /** Instances that stand by at all times, the primary included. */
  readonly standing: number;
  readonly roles: readonly RolesAt[];
  readonly shares: readonly SharesAt[];
  /** By wall clock, at the latest when it was asked for; undefined: nothing was killed. */
  readonly killed: { readonly name: string; readonly atMs: number } | undefined;
  /** Idempotency keys found on the final primary. */
  readonly committed: ReadonlySet<string>;
  readonly deltaBytes: number;
  readonly stateBytes: number;
  /** Spans of one decision, from its sample to the load balancer's answer: median. */
  readonly traceSpans: number;
  readonly noise: { readonly stealShare: number; readonly otherShare: number };
};

export type PolicyReport = {
  readonly requests: number;
  readonly failed: number;
  readonly failedIdempotent: number;
  readonly failedIdempotentInFailover: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly sloMs: number;
  readonly overSloPct: number;
  readonly overloadSeconds: number;
  readonly shadowSeconds: number;
  readonly staleReadPct: number;
  /** Null when help was in force all the time, or never asked for. */
  readonly leadSeconds: number | null;
  /** Null without a kill, or when no write was answered after it. */
  readonly failoverMs: number | null;
  readonly criticalWritesLost: number;
  readonly asyncWritesLost: number;
  readonly deltaBytes: number;
  readonly stateBytes: number;
  readonly flaps: number;
  readonly traceSpans: number;
  readonly valid: boolean;
  readonly lateP99Ms: number;
  readonly stealPct: number;
  readonly otherLoadPct: number;
};

export type Window = { readonly fromMs: number; readonly toMs: number };

export function reportOf(facts: RunFacts): PolicyReport {
  const { load, phases, noise } = facts;
  const scored = { fromMs: phases.learningMs, toMs: phases.learningMs + phases.scoredMs };
  const inScored = load.records.filter((record) => isWithin(record.atMs, scored));
  const latencies = inScored.map((record) => record.latencyMs).sort((a, b) => a - b);
  const reads = load.records.filter((record) => !isWrite(record.kind));
  const onWall = { fromMs: load.startedAtMs + scored.fromMs, toMs: load.startedAtMs + scored.toMs };
  return {
    requests: load.records.length,
    failed: load.records.filter(hasFailed).length,
    failedIdempotent: failedIdempotent(load.records),
    failedIdempotentInFailover: failedIdempotent(load.records.filter((record) => isHitByKill(record, facts))),
    p50Ms: round(percentile(latencies, 0.5)),
    p99Ms: round(percentile(latencies, 0.99)),
    sloMs: SLO_MS,
    overSloPct: round(percent(inScored.filter(isOver).length, inScored.length), 3),
    overloadSeconds: overloadSeconds(inScored).length,
    shadowSeconds: round(shadowSeconds(facts.roles, onWall)),
    staleReadPct: round(percent(reads.filter((record) => record.stale).length, reads.length), 3),
    leadSeconds: leadSeconds(facts, scored),
    failoverMs: failoverMs(facts),
    ...lostWrites(load.records, facts.committed),
    deltaBytes: facts.deltaBytes,
    stateBytes: facts.stateBytes,
    flaps: flaps(facts.shares.filter((shares) => isWithin(shares.atMs, onWall))),
    traceSpans: facts.traceSpans,
    valid: isValid(facts),
    lateP99Ms: round(load.lateP99Ms),
    stealPct: round(noise.stealShare * 100),
    otherLoadPct: round(noise.otherShare * 100),
  };
}

/** A busy machine or a late generator measures itself. */
export function isValid({ load, noise }: Pick<RunFacts, "load" | "noise">): boolean {
  return load.lateP99Ms <= LATE_MAX_MS && noise.stealShare <= NOISE_MAX && noise.otherShare <= NOISE_MAX;
}

function isWithin(atMs: number, { fromMs, toMs }: Window): boolean {
  return atMs >= fromMs && atMs < toMs;
}

function isOver(record: RequestRecord): boolean {
  return hasFailed(record) || record.latencyMs > SLO_MS;
}

function failedIdempotent(records: readonly RequestRecord[]): number {
  return records.filter((record) => hasFailed(record) && isIdempotent(record)).length;
}

/** The seconds, by intended send time, in which more than 1 % failed or took longer than the SLO. */
export function overloadSeconds(records: readonly RequestRecord[]): number[] {
  const seconds = new Map<number, { all: number; over: number }>();
  for (const record of records) {
    const second = Math.floor(record.atMs / 1000);
    const counts = seconds.get(second) ?? { all: 0, over: 0 };
    counts.all += 1;
    if (isOver(record)) counts.over += 1;
    seconds.set(second, counts);
  }
  return [...seconds].filter(([, { all, over }]) => over > all * OVERLOAD_PART).map(([second]) => second);
}

/** Seconds that shadows existed within the window: from the request for one until it is gone, seeding included. */
export function shadowSeconds(history: readonly RolesAt[], window: Window): number {
  const lives = new Map<string, { fromMs: number; toMs: number }>();
  for (const [index, { atMs, roles }] of history.entries()) {
    // What this message says holds until the next one.
    const untilMs = history[index + 1]?.atMs ?? Number.POSITIVE_INFINITY;
    for (const instance of roles.instances) {
      if (instance.role !== "shadow" || instance.phase === "gone") continue;
      const name = `${instance.name}/${instance.incarnation}`;
      const sinceMs =
        lives.has(name) || instance.requestedAtMs === 0 ? atMs : Math.min(atMs, instance.requestedAtMs);
      const life = lives.get(name) ?? { fromMs: sinceMs, toMs: sinceMs };
      lives.set(name, { fromMs: life.fromMs, toMs: untilMs });
    }
  }
  let ms = 0;
  for (const { fromMs, toMs } of lives.values()) {
    ms += Math.max(0, Math.min(toMs, window.toMs) - Math.max(fromMs, window.fromMs));
  }
  return ms / 1000;
}

/** Times within the window in which demand, without its noise, exceeds what the standing instances can do. */
export function episodes(curve: Curve, { standing, window }: { standing: number; window: Window }): Window[] {
  const found: { fromMs: number; toMs: number }[] = [];
  for (let atMs = window.fromMs; atMs < window.toMs; atMs += EPISODE_STEP_MS) {
    if (curve(atMs) <= standing) continue;
    const last = found.at(-1);
    if (last && atMs - last.toMs <= EPISODE_GAP_MS) last.toMs = atMs;
    else found.push({ fromMs: atMs, toMs: atMs });
  }
  return found;
}

/**
 * Mean over the episodes of how long before the standing instances would have saturated more of them took reads;
 * negative when it came after. Help that was there since the episode before, or since before the window, says nothing.
 */
function leadSeconds({ curve, standing, shares, load }: RunFacts, window: Window): number | null {
  const reinforced = reinforcements(shares, { standing, startedAtMs: load.startedAtMs });
  const leads: number[] = [];
  let sinceMs = window.fromMs;
  for (const episode of episodes(curve, { standing, window })) {
    const help = reinforced.find(({ fromMs, toMs }) => toMs > episode.fromMs && fromMs < episode.toMs);
    if (!help) leads.push(episode.fromMs - episode.toMs);
    else if (help.fromMs > sinceMs) leads.push(episode.fromMs - help.fromMs);
    sinceMs = episode.toMs;
  }
  if (leads.length === 0 || reinforced.length === 0) return null;
  return round(leads.reduce((sum, lead) => sum + lead, 0) / leads.length / 1000, 2);
}

/** When more instances than the standing ones took reads, since the start of the load. */
function reinforcements(
  shares: readonly SharesAt[],
  { standing, startedAtMs }: { standing: number; startedAtMs: number },
): Window[] {
  const found: { fromMs: number; toMs: number }[] = [];
  let open = false;
  for (const { atMs, readPpm } of shares) {
    const helped = Object.values(readPpm).filter((ppm) => ppm > 0).length > standing;
    if (helped && !open) found.push({ fromMs: atMs - startedAtMs, toMs: Number.POSITIVE_INFINITY });
    if (!helped && open) found.at(-1)!.toMs = atMs - startedAtMs;
    open = helped;
  }
  return found;
}

/** Whether a request was under way when the primary was killed, or came later. */
function isHitByKill(record: RequestRecord, { killed, load }: RunFacts): boolean {
  return killed !== undefined && load.startedAtMs + record.atMs + record.latencyMs >= killed.atMs;
}

/**
 * From the kill to the first write answered with success. Only writes sent after the kill count, and not those that the
 * killed one still answered: until the signal reaches it, it is asked like before.
 */
function failoverMs({ killed, load }: RunFacts): number | null {
  if (killed === undefined) return null;
  const killMs = killed.atMs - load.startedAtMs;
  let first = Number.POSITIVE_INFINITY;
  for (const record of load.records) {
    if (!isWrite(record.kind) || record.atMs < killMs || hasFailed(record)) continue;
    if (record.instance === killed.name) continue;
    first = Math.min(first, record.atMs + record.latencyMs);
  }
  return Number.isFinite(first) ? round(first - killMs) : null;
}

function lostWrites(
  records: readonly RequestRecord[],
  committed: ReadonlySet<string>,
): { criticalWritesLost: number; asyncWritesLost: number } {
  const lost = records.filter((r) => isWrite(r.kind) && !hasFailed(r) && !committed.has(r.key));
  const criticalWritesLost = lost.filter((record) => record.kind === "order").length;
  return { criticalWritesLost, asyncWritesLost: lost.length - criticalWritesLost };
}

/**
 * Reversals, within a minute, of the part of the reads that goes to shadows or of any instance's share, by 5 points or
 * more both ways. A share that follows a burst up and down again counts too: the definition does not ask why.
 */
export function flaps(shares: readonly SharesAt[]): number {
  const instances = new Set(shares.flatMap(({ readPpm }) => Object.keys(readPpm)));
  let most = 0;
  for (const instance of instances) {
    const series = shares.map(({ atMs, readPpm }) => ({ atMs, ppm: readPpm[instance] ?? 0 }));
    most = Math.max(most, reversals(series));
  }
  return most;
}

type Point = { readonly atMs: number; readonly ppm: number };

/** Turning points of the zigzag whose swings are all at least FLAP_PPM, and whose swing before began within a minute. */
function reversals(series: readonly Point[]): number {
  let count = 0;
  let direction = 0;
  let turn = series[0];
  let extreme = series[0];
  for (const point of series) {
    if (!turn || !extreme) break;
    if (direction === 0 && Math.abs(point.ppm - turn.ppm) >= FLAP_PPM) {
      direction = Math.sign(point.ppm - turn.ppm);
      extreme = point;
    } else if (direction * (point.ppm - extreme.ppm) >= 0) extreme = direction === 0 ? turn : point;
    else if (direction * (extreme.ppm - point.ppm) >= FLAP_PPM) {
      if (point.atMs - turn.atMs <= FLAP_WITHIN_MS) count += 1;
      turn = extreme;
      extreme = point;
      direction = -direction;
    }
  }
  return count;
}

export function percentOf(ppm: number): number {
  return (ppm / PPM) * 100;
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : (part / whole) * 100;
}

function round(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
