/**
 * What the replicator knows of one resource, and what it is in the middle of. Plain values: the loop keeps the newest
 * one, the core makes the next one, everything else only reads it.
 */

import type { ShadowProgress } from "@understudy/mirror/engine";
import type { VerdictState } from "@understudy/model/instance";
import type { ResourceSpec } from "@understudy/model/policy";
import { type Epoch, POSITION_ZERO, type Position, type Version } from "@understudy/model/position";
import type { Authority, Member } from "@understudy/state/store";

/** The clocks at an event: wall time for people, boot time for everything that is compared. */
export type At = { readonly nowMs: number; readonly bootMs: number };

/** A version of one epoch: the same number under another epoch is other state. */
export type Mark = { readonly epoch: Epoch; readonly version: Version };

/** Whether somebody who stands at `here` has everything up to `mark`. */
export function reached(here: Mark, mark: Mark): boolean {
  return here.epoch > mark.epoch || (here.epoch === mark.epoch && here.version >= mark.version);
}

/** Where an instance is in its life. */
export type Stage =
  /** A shadow's first copy, or its catching up after it was made again. */
  | { readonly at: "seeding" }
  | { readonly at: "starting" }
  | { readonly at: "serving" }
  /** On demand no more: the balancer is given until then to move its reads. */
  | { readonly at: "draining"; readonly untilBootMs: number }
  | { readonly at: "removing" }
  /** Evidence of death. A lost primary starts a failover, a lost shadow is made again after `retryAtBootMs`. */
  | { readonly at: "lost"; readonly why: string; readonly retryAtBootMs: number }
  /** A lost shadow is being fenced and let go, its folder kept. */
  | { readonly at: "ending" };

export type Tracked = {
  readonly name: string;
  /** The host that keeps it; empty: this one. */
  readonly host: string;
  readonly incarnation: string;
  readonly role: "primary" | "shadow";
  readonly stage: Stage;
  /** The end of the mirror over its folder. */
  readonly mirror: "closed" | "opening" | "open";
  /** The epoch whose promotion it has gone through; 0: none. */
  readonly crowned: Epoch;
  readonly address: string;
  readonly gateAddress: string;
  readonly pid: number;
  readonly pidStartTicks: number;
  readonly requestedAtMs: number;
  readonly readyAtMs: number;
  /** Failures in a row, for the pause before the next try. */
  readonly attempts: number;
  readonly verdict: VerdictState | undefined;
  readonly progress: ShadowProgress | undefined;
  /** A sealed version it does not have on disk yet, and since when. */
  readonly owed: (Mark & { readonly sinceBootMs: number }) | undefined;
  /** Since when its end has not been live; undefined while it is. */
  readonly deafSinceBootMs: number | undefined;
};

export type StoreView =
  | { readonly phase: "unknown" }
  | { readonly phase: "reachable" }
  | { readonly phase: "away"; readonly why: string }
  /** It holds less than it once told us: it forgot, and may not promote anyone. */
  | { readonly phase: "lost"; readonly missing: string };

export type LeaseView =
  | { readonly held: "no" }
  | { readonly held: "by-store"; readonly renewedBootMs: number }
  /** The store is gone, and nobody who could promote another will. */
  | { readonly held: "by-promise"; readonly renewedBootMs: number };

export type Cause = "first" | "failover" | "switchover" | "reinstate";

type Attempt = {
  readonly cause: Cause;
  readonly epoch: Epoch;
  readonly reason: string;
  readonly startedBootMs: number;
};

/** A change of primary: claim, fence, salvage, commit, promote. Each step waits for one answer. */
export type Takeover =
  | { readonly step: "idle" }
  /** It is needed and cannot be done now. */
  | { readonly step: "blocked"; readonly why: string; readonly retryAtBootMs: number }
  | (Attempt & { readonly step: "claiming" })
  | (Attempt & { readonly step: "fencing" })
  | (Attempt & { readonly step: "waiting-out"; readonly sinceBootMs: number; readonly untilBootMs: number })
  | (Attempt & { readonly step: "salvaging" })
  | (Attempt & { readonly step: "committing"; readonly to: Member })
  | (Attempt & { readonly step: "promoting"; readonly to: Member });

/** A planned or forced change of primary that somebody asked for, until it is done or refused. */
export type Wish = {
  readonly id: number;
  readonly kind: "switchover" | "promote";
  /** Empty: the best member of the in-sync set. */
  readonly target: string;
  readonly reason: string;
};

/** A shadow on its way into the in-sync set. Barriers wait for it already; it is admitted once it has `floor` on disk. */
export type Joining = Member & { readonly floor: Mark | undefined };

/** What the lease looked like when it last changed, and when we saw that first. */
export type LeaseSeen = { readonly epoch: Epoch; readonly sequence: number; readonly sinceBootMs: number };

export type ResourceState = {
  readonly resource: string;
  readonly host: string;
  /** Whether its very first primary is made here. */
  readonly isHome: boolean;
  /** Hosts whose replicators do not answer. */
  readonly awayHosts: readonly string[];
  readonly leaseSeen: LeaseSeen;
  /** We have promised the host that leads not to take the lead before. */
  readonly promisedUntilBootMs: number;
  readonly spec: ResourceSpec;
  /** False after Unmirror: the primary runs on without shadows. */
  readonly protect: boolean;
  /** True once what ran before us has been taken over; nothing is decided before. */
  readonly adopted: boolean;
  readonly store: StoreView;
  readonly reading: boolean;
  readonly readAtBootMs: number;
  readonly authority: Authority | undefined;
  /** The highest epoch ever seen here, also before a restart. */
  readonly highestEpoch: Epoch;
  readonly lease: LeaseView;
  readonly renewing: boolean;
  readonly takeover: Takeover;
  readonly wish: Wish | undefined;
  readonly instances: readonly Tracked[];
  readonly wantedShadows: number;
  /** The newest position the primary's end has sealed. */
  readonly sealed: Position;
  readonly joining: readonly Joining[];
  /** A compare-and-set of the in-sync set whose fate is not known yet. */
  readonly inSyncChange: readonly Member[] | undefined;
  /** The last change may still arrive late: the next one is sent even when nothing differs, to raise the revision. */
  readonly inSyncUncertain: boolean;
  readonly saved: Mark & { readonly atBootMs: number };
  readonly saving: boolean;
  readonly tickedBootMs: number;
  /** Incarnations made so far. */
  readonly made: number;
  /** What was last kept on disk and published, as text, so that only changes are. */
  readonly told: { readonly kept: string; readonly roles: string };
  /** Calls of Mirror to be answered once there is a serving primary. */
  readonly waitingForPrimary: readonly number[];
};

export function newResource(spec: ResourceSpec, host: string, isHome = true): ResourceState {
  return {
    resource: spec.name,
    host,
    isHome,
    awayHosts: [],
    promisedUntilBootMs: Number.NEGATIVE_INFINITY,
    leaseSeen: { epoch: 0, sequence: -1, sinceBootMs: Number.NEGATIVE_INFINITY },
    spec,
    protect: true,
    adopted: false,
    store: { phase: "unknown" },
    reading: false,
    readAtBootMs: Number.NEGATIVE_INFINITY,
    authority: undefined,
    highestEpoch: 0,
    lease: { held: "no" },
    renewing: false,
    takeover: { step: "idle" },
    wish: undefined,
    instances: [],
    wantedShadows: spec.shadows.min,
    sealed: POSITION_ZERO,
    joining: [],
    inSyncChange: undefined,
    inSyncUncertain: false,
    saved: { version: 0, epoch: 0, atBootMs: Number.NEGATIVE_INFINITY },
    saving: false,
    tickedBootMs: Number.NEGATIVE_INFINITY,
    made: 0,
    told: { kept: "", roles: "" },
    waitingForPrimary: [],
  };
}

export function newTracked(name: string, incarnation: string, role: Tracked["role"], at: At): Tracked {
  return {
    name,
    host: "",
    incarnation,
    role,
    stage: { at: role === "primary" ? "starting" : "seeding" },
    mirror: "closed",
    crowned: 0,
    address: "",
    gateAddress: "",
    pid: 0,
    pidStartTicks: 0,
    requestedAtMs: at.nowMs,
    readyAtMs: 0,
    attempts: 0,
    verdict: undefined,
    progress: undefined,
    owed: undefined,
    deafSinceBootMs: undefined,
  };
}

export function find(state: ResourceState, name: string): Tracked | undefined {
  return state.instances.find((tracked) => tracked.name === name);
}

/** The same state when nothing is new: most of what is heard repeats what is known. */
export function change(state: ResourceState, name: string, fields: Partial<Tracked>): ResourceState {
  const tracked = find(state, name);
  const keys = Object.keys(fields) as (keyof Tracked)[];
  if (!tracked || keys.every((key) => fields[key] === tracked[key])) return state;
  const instances = state.instances.map((each) => (each === tracked ? { ...each, ...fields } : each));
  return { ...state, instances };
}

export function memberOf(tracked: Tracked): Member {
  return { instance: tracked.name, incarnation: tracked.incarnation };
}

export function isMember(members: readonly Member[], tracked: Tracked): boolean {
  return members.some(
    (member) => member.instance === tracked.name && member.incarnation === tracked.incarnation,
  );
}

/** The instance that the epoch in force names, when it is one of ours. */
export function primaryOf(state: ResourceState): Tracked | undefined {
  const named = state.authority?.primary;
  return named && state.instances.find((tracked) => isMember([named], tracked));
}

/**
 * The replicator that holds the lease leads: it alone decides about the resource, wherever its shadows are. True when that is
 * another host's.
 */
export function leadsElsewhere({ authority, host }: ResourceState): boolean {
  return authority?.lease !== undefined && authority.lease.holder !== host;
}

/** Whether what is decided and said of the resource is decided and said here. */
export function leadsHere({ authority, host, isHome }: ResourceState): boolean {
  return authority?.lease ? authority.lease.holder === host : isHome;
}

/** The primary, while it is alive and its promotion under the epoch in force is complete. */
export function reigning(state: ResourceState): Tracked | undefined {
  const primary = primaryOf(state);
  if (!primary || primary.stage.at === "lost") return undefined;
  return primary.crowned === state.authority?.epoch ? primary : undefined;
}

/** An id that no earlier start of any instance had. */
export function nextIncarnation(state: ResourceState, at: At): { id: string; next: ResourceState } {
  const made = state.made + 1;
  return { id: `${Math.floor(at.nowMs).toString(36)}-${made}`, next: { ...state, made } };
}
