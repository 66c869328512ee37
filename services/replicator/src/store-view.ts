/** What is known of the store: reachable, away, or lost its memory; and what it said last. */

import type { Authority } from "@understudy/state/store";
import { announce, type Step, type StoreCall, step } from "./events.ts";
import { type At, leadsElsewhere, type Mark, type ResourceState, reached } from "./resource-state.ts";

const READ_EVERY_MS = 200;

/**
 * While the store is not reachable it is asked again and again; one question at a time. So it is while another host leads: that its
 * lease is still renewed is what we know of it.
 */
export function askStore(state: ResourceState, at: At): Step {
  if ((state.store.phase === "reachable" && !leadsElsewhere(state)) || state.reading) return step(state);
  if (at.bootMs < state.readAtBootMs + READ_EVERY_MS) return step(state);
  return step({ ...state, reading: true, readAtBootMs: at.bootMs }, { kind: "read-store" });
}

/** Takes in what the store says, unless it has forgotten what we know. */
export function seen(state: ResourceState, authority: Authority): Step {
  const missing = lossOf(state, authority);
  if (missing) return forgotten(state, missing);
  const next: ResourceState = {
    ...state,
    store: { phase: "reachable" },
    authority,
    highestEpoch: authority.epoch,
  };
  const back = state.store.phase === "away" || state.store.phase === "lost";
  return back ? step(next, announce("store.back", "the store is back")) : step(next);
}

/**
 * What it once told us and holds no more: it was flushed, or restored from an older state. Under the same epoch an older in-sync
 * set may still name a shadow that has left since, and lacks what was acknowledged without it.
 */
export function lossOf(state: ResourceState, found: Authority): string | undefined {
  const { authority: known, highestEpoch, saved } = state;
  if (found.epoch < highestEpoch) return `epoch ${found.epoch}, this disk has seen epoch ${highestEpoch}`;
  if (!known || found.epoch > known.epoch) return undefined;
  const { inSyncRevision } = known;
  if (found.inSyncRevision < inSyncRevision)
    return `revision ${found.inSyncRevision} of the in-sync set, this disk has seen revision ${inSyncRevision}`;
  // What was saved under an earlier epoch may rightly be gone: a recovery starts from what is left.
  const newest = saved.epoch !== found.epoch || reached(known.position, saved) ? known.position : saved;
  const version = ({ epoch, version }: Mark) => `version ${version} of epoch ${epoch}`;
  return reached(found.position, newest)
    ? undefined
    : `${version(found.position)}, it had ${version(newest)}`;
}

function forgotten(state: ResourceState, missing: string): Step {
  const next: ResourceState = { ...state, store: { phase: "lost", missing } };
  if (state.store.phase === "lost") return step(next);
  return step(next, announce("store.lost", lostText(state, missing)));
}

export function lostText({ highestEpoch, resource }: ResourceState, missing: string): string {
  return (
    `state lost: the store holds ${missing}; ` +
    `nobody is promoted. Remedy: understudy state recover ${resource} --epoch ${highestEpoch}`
  );
}

/** When the lease last changed: its age is counted from here, not by its holder's clock. */
export function leaseSeen(state: ResourceState, at: At): ResourceState {
  const { authority, leaseSeen: before } = state;
  const now = { epoch: authority?.epoch ?? 0, sequence: authority?.lease?.sequence ?? -1 };
  if (before.epoch === now.epoch && before.sequence === now.sequence) return state;
  return { ...state, leaseSeen: { ...now, sinceBootMs: at.bootMs } };
}

export function storeFailed(state: ResourceState, call: StoreCall, why: string): Step {
  const next: ResourceState = {
    ...state,
    store: { phase: "away", why },
    reading: call === "read" ? false : state.reading,
    renewing: call === "renew" ? false : state.renewing,
    saving: call === "save" ? false : state.saving,
    // Nobody knows whether this change arrived: it counts as pending until the store has been read again.
    inSyncUncertain: state.inSyncUncertain || call === "set-in-sync",
  };
  return state.store.phase === "away"
    ? step(next)
    : step(next, announce("store.away", `the store is away: ${why}`));
}

/** Why nothing that needs the store can be done now; undefined when it can. */
export function storeObstacle(state: ResourceState): string | undefined {
  switch (state.store.phase) {
    case "reachable":
      return undefined;
    case "unknown":
      return "the store has not answered yet";
    case "away":
      return `the store is away (${state.store.why}): nobody is promoted`;
    case "lost":
      return lostText(state, state.store.missing);
  }
}
