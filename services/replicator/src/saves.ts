/** Saves positions in the store, now and then: metadata for people and for recovery, on no critical path. */

import type { Position } from "@understudy/model/position";
import type { Outcome } from "@understudy/state/store";
import { type Step, step } from "./events.ts";
import { type At, memberOf, type ResourceState, reached, reigning } from "./resource-state.ts";
import { seen } from "./store-view.ts";

const SAVE_EVERY_MS = 250;

export function savePositions(state: ResourceState, at: At): Step {
  const { saved, sealed, authority } = state;
  const due = !state.saving && at.bootMs >= saved.atBootMs + SAVE_EVERY_MS;
  if (!due || state.store.phase !== "reachable" || !reigning(state) || state.takeover.step !== "idle")
    return step(state);
  const newer = sealed.epoch === authority?.epoch && !reached(saved, sealed);
  if (!newer) return step(state);
  const shadows = state.instances.flatMap((tracked) => {
    const { progress } = tracked;
    return progress?.phase === "live" ? [{ member: memberOf(tracked), position: progress.durable }] : [];
  });
  return step({ ...state, saving: true }, { kind: "save", position: sealed, shadows });
}

export function saved(
  state: ResourceState,
  { position, outcome, at }: { position: Position; outcome: Outcome<Position>; at: At },
): Step {
  const next: ResourceState = { ...state, saving: false, saved: { ...state.saved, atBootMs: at.bootMs } };
  if (!outcome.saved) return seen(next, outcome.found);
  const { version, epoch } = position;
  return step({ ...next, saved: { version, epoch, atBootMs: at.bootMs } });
}
