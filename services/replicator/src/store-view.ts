/** What is known of the store: reachable, away, or lost its memory; and what it said last. */

import type { Epoch } from "@understudy/model/position";
import type { Authority } from "@understudy/state/store";
import { announce, type Step, type StoreCall, step } from "./events.ts";
import type { At, ResourceState } from "./resource-state.ts";

const READ_EVERY_MS = 200;

/** While the store is not reachable it is asked again and again; one question at a time. */
export function askStore(state: ResourceState, at: At): Step {
  if (state.store.phase === "reachable" || state.reading) return step(state);
  if (at.bootMs < state.readAtBootMs + READ_EVERY_MS) return step(state);
  return step({ ...state, reading: true, readAtBootMs: at.bootMs }, { kind: "read-store" });
}

/** Takes in what the store says, unless it has forgotten what we know. */
export function seen(state: ResourceState, authority: Authority): Step {
  if (authority.epoch < state.highestEpoch) return forgotten(state, authority.epoch);
  const next: ResourceState = {
    ...state,
    store: { phase: "reachable" },
    authority,
    highestEpoch: authority.epoch,
  };
  const back = state.store.phase === "away" || state.store.phase === "lost";
  return back ? step(next, announce("store.back", "the store is back")) : step(next);
}

function forgotten(state: ResourceState, foundEpoch: Epoch): Step {
  const next: ResourceState = { ...state, store: { phase: "lost", foundEpoch } };
  if (state.store.phase === "lost") return step(next);
  return step(next, announce("store.lost", lostText(state, foundEpoch)));
}

export function lostText(state: ResourceState, foundEpoch: Epoch): string {
  const { highestEpoch, resource } = state;
  return (
    `state lost: the store holds epoch ${foundEpoch} of ${resource}, this disk has seen epoch ${highestEpoch}; ` +
    `nobody is promoted. Remedy: understudy state recover ${resource} --epoch ${highestEpoch}`
  );
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
      return lostText(state, state.store.foundEpoch);
  }
}
