/**
 * Takes over what an earlier process of ours left: instances that run, and what it had kept on disk. Nothing is stopped for
 * it; roles come from the store, or from the disk while the store is away.
 */

import type { RunningInstance } from "@understudy/resource/driver";
import { announce, type Effect, type Step, step } from "./events.ts";
import type { Kept, KeptInstance } from "./record.ts";
import { type At, newTracked, type ResourceState, type Tracked } from "./resource-state.ts";

export function adopt(
  state: ResourceState,
  { kept, running, at }: { kept: Kept | undefined; running: readonly RunningInstance[]; at: At },
): Step {
  if (state.adopted) return step(state);
  const known = (kept?.instances ?? []).map((each) => adopted(each, runningOf(running, each), at));
  const strays = running.filter((each) => !kept?.instances.some((other) => other.name === each.instance));
  const instances = [...known, ...strays.map((each) => strayOf(each, at))];
  const next: ResourceState = {
    ...state,
    adopted: true,
    instances,
    authority: state.authority ?? kept?.authority,
    highestEpoch: Math.max(state.highestEpoch, kept?.highestEpoch ?? 0),
    wantedShadows: kept?.wantedShadows ?? state.wantedShadows,
    protect: kept?.protect ?? state.protect,
    made: kept?.made ?? 0,
  };
  const watched = running.map((each): Effect => ({ kind: "watch", running: each }));
  const alive = instances.filter((tracked) => tracked.stage.at === "serving").length;
  const said =
    instances.length === 0
      ? []
      : [announce("adopted", `took over ${alive} of ${instances.length} instances`)];
  return step(next, ...watched, ...said);
}

function runningOf(running: readonly RunningInstance[], kept: KeptInstance): RunningInstance | undefined {
  return running.find((each) => each.instance === kept.name && each.incarnation === kept.incarnation);
}

function adopted(kept: KeptInstance, running: RunningInstance | undefined, at: At): Tracked {
  const { name, incarnation, host, role, gateAddress, requestedAtMs, readyAtMs } = kept;
  const base = { ...newTracked(name, incarnation, role, at), host, gateAddress, requestedAtMs };
  // Its own host tells us of it soon, or does not answer.
  if (host !== "") return { ...base, readyAtMs, stage: { at: "starting" } };
  if (!running) {
    const why = "it did not run when its replicator came back";
    return { ...base, stage: { at: "lost", why, retryAtBootMs: at.bootMs } };
  }
  const { address, pid, pidStartTicks } = running;
  const stage = readyAtMs > 0 ? ({ at: "serving" } as const) : ({ at: "starting" } as const);
  return { ...base, address, pid, pidStartTicks, readyAtMs, stage };
}

/** It runs, and the record does not know it: the record was lost. Whoever the store does not name is made again. */
function strayOf({ instance, incarnation, address, pid, pidStartTicks }: RunningInstance, at: At): Tracked {
  const base = newTracked(instance, incarnation, "shadow", at);
  return { ...base, address, pid, pidStartTicks, readyAtMs: at.nowMs, stage: { at: "serving" } };
}
