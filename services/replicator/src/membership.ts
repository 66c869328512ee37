/**
 * The in-sync set: the shadows that a Barrier waits for and that alone may be promoted. A shadow joins in two steps:
 * first Barriers wait for it, then, once it has everything sealed until then, it is admitted in the store; the other
 * way round a write acknowledged in between would be missing on a member. A laggard leaves by compare-and-set before any
 * Barrier may succeed without it. While the store is away nothing changes.
 */

import type { ShadowProgress } from "@understudy/mirror/engine";
import type { Position } from "@understudy/model/position";
import type { Member, Outcome } from "@understudy/state/store";
import { announce, type Step, step, then } from "./events.ts";
import {
  type At,
  isMember,
  type Joining,
  type Mark,
  memberOf,
  type ResourceState,
  reached,
  reigning,
  type Tracked,
} from "./resource-state.ts";
import { seen } from "./store-view.ts";

/** A member that owes a sealed version for longer than this is a laggard. */
export const LAGGARD_MS = 1000;
/** A member whose connection broke is given this long to come back. */
export const DISCONNECTED_MS = 300;
/** A gap in our own ticks this long says that we stood still, and nothing about the shadows. */
const FROZEN_MS = 400;

/** Whom a Barrier must wait for: members, those on their way in, and those on their way out whose removal is not certain. */
export function awaited(state: ResourceState): readonly Member[] {
  const all: Member[] = [...(state.authority?.inSync ?? [])];
  for (const { instance, incarnation } of [...(state.inSyncChange ?? []), ...state.joining]) {
    const known = all.some((member) => member.instance === instance && member.incarnation === incarnation);
    if (!known) all.push({ instance, incarnation });
  }
  return all;
}

/** Takes in how far the shadows are. */
export function progressed(
  state: ResourceState,
  sealed: Position,
  { shadows, at }: { shadows: readonly ShadowProgress[]; at: At },
): ResourceState {
  const instances = state.instances.map((tracked) => {
    const progress = shadows.find(
      (each) => each.instance === tracked.name && each.incarnation === tracked.incarnation,
    );
    return progress && tracked.role === "shadow" ? heard(tracked, progress, { sealed, at }) : tracked;
  });
  const joining = state.joining.map((each) => ({ ...each, floor: each.floor ?? markOf(sealed) }));
  return { ...state, sealed, instances, joining };
}

function heard(
  tracked: Tracked,
  progress: ShadowProgress,
  { sealed, at }: { sealed: Position; at: At },
): Tracked {
  const live = progress.phase === "live";
  const deafSinceBootMs = live ? undefined : (tracked.deafSinceBootMs ?? at.bootMs);
  return { ...tracked, progress, deafSinceBootMs, owed: owes(tracked, progress, { sealed, at }) };
}

function owes(
  tracked: Tracked,
  progress: ShadowProgress,
  { sealed, at }: { sealed: Position; at: At },
): Tracked["owed"] {
  const { durable } = progress;
  if (tracked.owed && !reached(durable, tracked.owed)) return tracked.owed;
  return reached(durable, sealed) ? undefined : { ...markOf(sealed), sinceBootMs: at.bootMs };
}

function markOf({ epoch, version }: Position): Mark {
  return { epoch, version };
}

/** After a standstill of our own the clocks of all shadows start again. */
export function forgiveStandstill(state: ResourceState, at: At): ResourceState {
  if (at.bootMs - state.tickedBootMs < FROZEN_MS) return { ...state, tickedBootMs: at.bootMs };
  const instances = state.instances.map((tracked) => ({
    ...tracked,
    owed: tracked.owed && { ...tracked.owed, sinceBootMs: at.bootMs },
    deafSinceBootMs: tracked.deafSinceBootMs === undefined ? undefined : at.bootMs,
  }));
  return { ...state, instances, tickedBootMs: at.bootMs };
}

/** Lets laggards go and lets in who has caught up, one change at a time. */
export function keepMembership(state: ResourceState, at: At): Step {
  const { authority } = state;
  const primary = reigning(state);
  const steady =
    state.takeover.step === "idle" && state.store.phase === "reachable" && primary?.mirror === "open";
  if (!authority || !steady || state.inSyncChange) return step(state);
  const joining = joiners(state, authority.inSync, at);
  const next: ResourceState = { ...state, joining };
  const staying = authority.inSync.filter((member) => stays(state, member, at));
  const entering = joining
    .filter((each) => isIn(state, each))
    .map(({ instance, incarnation }) => ({ instance, incarnation }));
  const members = [...staying, ...entering];
  const same = entering.length === 0 && staying.length === authority.inSync.length;
  if (same && !state.inSyncUncertain) return step(next);
  return step(
    { ...next, inSyncChange: members },
    { kind: "set-in-sync", epoch: authority.epoch, revision: authority.inSyncRevision, members },
  );
}

function stays(state: ResourceState, member: Member, at: At): boolean {
  const tracked = state.instances.find((each) => isMember([member], each));
  return tracked !== undefined && serves(tracked, at) && !late(tracked, at);
}

/** Whether it is meant to go on being a shadow. */
function serves(tracked: Tracked, at: At): boolean {
  switch (tracked.stage.at) {
    case "seeding":
    case "starting":
    case "serving":
      return tracked.role === "shadow";
    case "draining":
      return at.bootMs < tracked.stage.untilBootMs;
    case "removing":
    case "lost":
    case "ending":
      return false;
  }
}

function late(tracked: Tracked, at: At): boolean {
  if (tracked.owed && at.bootMs - tracked.owed.sinceBootMs > LAGGARD_MS) return true;
  if (tracked.deafSinceBootMs === undefined) return false;
  const patienceMs = tracked.progress?.phase === "disconnected" ? DISCONNECTED_MS : LAGGARD_MS;
  return at.bootMs - tracked.deafSinceBootMs > patienceMs;
}

function joiners(state: ResourceState, members: readonly Member[], at: At): Joining[] {
  return state.instances
    .filter(
      (tracked) => tracked.stage.at !== "draining" && serves(tracked, at) && !isMember(members, tracked),
    )
    .filter(
      (tracked) => tracked.mirror === "open" && tracked.progress?.phase === "live" && !late(tracked, at),
    )
    .map((tracked) => {
      const known = state.joining.find((each) => isMember([each], tracked));
      return known ?? { ...memberOf(tracked), floor: undefined };
    });
}

function isIn(state: ResourceState, joining: Joining): boolean {
  const tracked = state.instances.find((each) => isMember([joining], each));
  const here = tracked?.progress?.durable;
  return joining.floor !== undefined && here !== undefined && reached(here, joining.floor);
}

export function inSyncSaved(
  state: ResourceState,
  members: readonly Member[],
  outcome: Outcome<number>,
): Step {
  const answered: ResourceState = { ...state, inSyncChange: undefined, inSyncUncertain: false };
  if (!outcome.saved) return seen(answered, outcome.found);
  if (!answered.authority) return step(answered);
  const before = answered.authority.inSync;
  const authority = { ...answered.authority, inSync: members, inSyncRevision: outcome.value };
  const joining = answered.joining.filter(
    (each) => !members.some((member) => member.incarnation === each.incarnation),
  );
  return then(step({ ...answered, authority, joining }), (next) => step(next, ...changesOf(before, members)));
}

function changesOf(before: readonly Member[], now: readonly Member[]) {
  const missing = (from: readonly Member[], member: Member) =>
    !from.some((other) => other.instance === member.instance && other.incarnation === member.incarnation);
  const joined = now.filter((member) => missing(before, member));
  const left = before.filter((member) => missing(now, member));
  return [
    ...left.map(({ instance }) => announce("in-sync.left", `${instance} left the in-sync set`, instance)),
    ...joined.map(({ instance }) =>
      announce("in-sync.joined", `${instance} joined the in-sync set`, instance),
    ),
  ];
}

/** The store has been read again: a change whose fate was unknown is either in what it said or overtaken by the next. */
export function reread(state: ResourceState): ResourceState {
  return { ...state, inSyncChange: undefined };
}
