/**
 * A change of primary, one step at a time: claim -> fence -> salvage -> commit -> promote. Each step is a state that waits for one
 * answer, so a replicator that dies in between resumes from what the store says: no epoch in force means start again,
 * an epoch in force whose primary was never told means promote. Planned and unplanned changes differ in the fence
 * (writes stopped, or the process group killed) and in whether the last delta may be missed.
 */

import type { FenceResult } from "@understudy/resource/driver";
import type { Claim, Outcome } from "@understudy/state/store";
import { chooseNext } from "./candidates.ts";
import { announce, type Step, step } from "./events.ts";
import { shadowOrder, waitedOutMs } from "./lease.ts";
import {
  type At,
  type Cause,
  find,
  isMember,
  leadsElsewhere,
  memberOf,
  primaryOf,
  type ResourceState,
  type Takeover,
  type Tracked,
} from "./resource-state.ts";
import { calledOff, hindered, lostRace, type Running } from "./setbacks.ts";
import { storeObstacle } from "./store-view.ts";
import { commit, resume } from "./succession.ts";

/** What a dead primary committed and nobody has yet may be on its disk; a failover waits this long for it. */
export const SALVAGE_MS = 60;
/** A planned change gives the last delta this long, and is called off otherwise. */
export const HANDOVER_MS = 2000;

type Need = { readonly cause: Cause; readonly reason: string } | { readonly resume: Tracked } | undefined;

/** Starts, resumes or unblocks a change of primary when one is needed. */
export function advance(state: ResourceState, at: At): Step {
  const { takeover } = state;
  if (takeover.step === "waiting-out" && at.bootMs >= takeover.untilBootMs)
    return salvage(state, takeover, at);
  const resting = takeover.step === "idle" || takeover.step === "blocked";
  if (!state.adopted || !resting) return step(state);
  // Its primary goes on by our word.
  if (leadsElsewhere(state) && at.bootMs < state.promisedUntilBootMs) return step(state);
  const need = needOf(state, at);
  if (!need) return takeover.step === "idle" ? step(state) : step({ ...state, takeover: { step: "idle" } });
  if (takeover.step === "blocked" && at.bootMs < takeover.retryAtBootMs) return step(state);
  if ("resume" in need) return resume(state, need.resume, at);
  const primary = primaryOf(state);
  // A program that will not start is not worth an epoch a millisecond.
  if (primary?.stage.at === "lost" && at.bootMs < primary.stage.retryAtBootMs) return step(state);
  const next = need.cause === "failover" ? chooseNext(state, "", at).kind : "member";
  // Whoever has nobody to promote must not keep those waiting who have.
  if (next === "wait" || (next === "none" && leadsElsewhere(state))) return step(state);
  return begin(state, need, at);
}

function needOf(state: ResourceState, at: At): Need {
  const { authority } = state;
  if (!authority || state.store.phase === "unknown") return undefined;
  const named = authority.primary;
  if (!named) return unnamedNeed(state);
  const primary = primaryOf(state);
  // Its life cannot be judged from here, but that of its host can: one that lives renews its lease.
  if (leadsElsewhere(state)) return isStale(state, at) ? staleNeed(state) : wished(state);
  if (!primary || primary.stage.at === "lost") {
    return {
      cause: "failover",
      reason: primary?.stage.at === "lost" ? primary.stage.why : "the primary is not here",
    };
  }
  if (primary.crowned !== authority.epoch) return state.lease.held === "no" ? undefined : { resume: primary };
  return wished(state);
}

/** Nobody has renewed the lease for as long as it is good, as far as we have seen: we have looked all the time. */
function isStale(
  { leaseSeen, authority, spec, store, tickedBootMs, readAtBootMs }: ResourceState,
  at: At,
): boolean {
  const lease = authority?.lease;
  const known = lease && leaseSeen.sequence === lease.sequence && leaseSeen.epoch === authority?.epoch;
  const { durationMs } = spec.lease;
  const looked = at.bootMs - readAtBootMs < durationMs / 2 && at.bootMs - tickedBootMs < durationMs / 2;
  return (
    known === true && store.phase === "reachable" && looked && at.bootMs - leaseSeen.sinceBootMs > durationMs
  );
}

function staleNeed({ authority, spec }: ResourceState): Need {
  const reason = `${authority!.lease!.holder} has not renewed its lease for ${spec.lease.durationMs} ms`;
  return { cause: "failover", reason };
}

function wished({ wish }: ResourceState): Need {
  return wish && { cause: wish.kind === "switchover" ? "switchover" : "failover", reason: wish.reason };
}

/** The store names nobody: the resource is new, or the store was recovered while its primary ran on. */
function unnamedNeed(state: ResourceState): Need {
  const running = state.instances.find(
    (tracked) => tracked.role === "primary" && tracked.stage.at !== "lost",
  );
  if (running) return { cause: "reinstate", reason: "the store was recovered" };
  const former = formerPrimary(state);
  // With shadows elsewhere the folder that has everything may be elsewhere too: only the very first start is sure.
  const isSure =
    state.authority?.epoch === 0 || former !== undefined || state.spec.shadows.hosts.length === 0;
  if (!state.protect || !state.isHome || !isSure) return undefined;
  return {
    cause: "first",
    reason: former ? "the store was recovered" : "nobody was primary before",
  };
}

function begin(state: ResourceState, need: { cause: Cause; reason: string }, at: At): Step {
  const obstacle = storeObstacle(state);
  if (obstacle) return hindered(state, obstacle, at);
  const epoch = state.authority!.epoch + 1;
  const takeover: Takeover = { step: "claiming", ...need, epoch, startedBootMs: at.bootMs };
  return step(
    { ...state, takeover },
    announce(`${need.cause}.started`, `${need.cause} to epoch ${epoch}: ${need.reason}`),
    { kind: "claim", epoch },
  );
}

export function claimed(state: ResourceState, outcome: Outcome<Claim>, at: At): Step {
  const { takeover } = state;
  if (takeover.step !== "claiming") return step(state);
  if (!outcome.saved) return lostRace(state, outcome, at);
  switch (takeover.cause) {
    case "reinstate":
      return commit(state, takeover, at);
    case "first":
    case "failover":
    case "switchover":
      return fence(state, takeover, at);
  }
}

function fence(state: ResourceState, takeover: Running, at: At): Step {
  const old = formerPrimary(state);
  if (!old) return leadsElsewhere(state) ? fenceElsewhere(state, takeover, at) : commit(state, takeover, at);
  const next: ResourceState = { ...state, takeover: { ...takeover, step: "fencing" } };
  const member = memberOf(old);
  if (takeover.cause === "switchover") {
    return step(next, { kind: "stop-writes", member, order: shadowOrder(state) });
  }
  return step(next, { kind: "fence", member });
}

/** Whose writes must have ended. A recovered store names nobody, but the one we know may write on under the lease of before. */
function formerPrimary(state: ResourceState): Tracked | undefined {
  const named = state.authority?.primary;
  // An instance of ours of the same name is not the one that another host leads.
  if (leadsElsewhere(state)) return undefined;
  if (named) return find(state, named.instance);
  return state.instances.find((tracked) => tracked.role === "primary");
}

/** Nobody here can stop its writes, but under our claim it cannot renew: at the end of its lease it has stopped itself. */
function fenceElsewhere(state: ResourceState, takeover: Running, at: At): Step {
  const { instance } = state.authority!.primary!;
  const why = `it runs on ${state.authority!.lease!.holder}`;
  if (takeover.cause === "switchover")
    return calledOff(state, takeover, `its writes cannot be stopped from here: ${why}`);
  return waitOut(state, takeover, { instance, why, at });
}

function waitOut(
  state: ResourceState,
  takeover: Running,
  { instance, why, at }: { instance: string; why: string; at: At },
): Step {
  return step(
    {
      ...state,
      takeover: {
        ...takeover,
        step: "waiting-out",
        sinceBootMs: at.bootMs,
        untilBootMs: waitedOutMs(state, at),
      },
    },
    announce("fence.unconfirmed", `${instance} may still run (${why}): its lease is waited out`),
  );
}

/**
 * Under our claim nobody renews. So once a look that was begun under it finds the lease as we have seen it all along, it is as old
 * as that, and need not be waited out from now.
 */
export function shortened(state: ResourceState): ResourceState {
  const { takeover, leaseSeen, readAtBootMs, authority, spec } = state;
  if (takeover.step !== "waiting-out" || readAtBootMs < takeover.sinceBootMs || !leadsElsewhere(state))
    return state;
  const same = leaseSeen.epoch === authority?.epoch && leaseSeen.sequence === authority.lease?.sequence;
  const untilBootMs = Math.min(takeover.untilBootMs, leaseSeen.sinceBootMs + spec.lease.durationMs);
  return same ? { ...state, takeover: { ...takeover, untilBootMs } } : state;
}

export function fenced(
  state: ResourceState,
  instance: string,
  { result, at }: { result: FenceResult; at: At },
): Step {
  const { takeover } = state;
  if (takeover.step !== "fencing" || formerPrimary(state)?.name !== instance) return step(state);
  if (result.confirmed) return salvage(state, takeover, at);
  if (takeover.cause === "switchover")
    return calledOff(state, takeover, `its writes cannot be stopped: ${result.why}`);
  return waitOut(state, takeover, { instance, why: result.why, at });
}

function salvage(state: ResourceState, takeover: Running, at: At): Step {
  const heirs = heirsOf(state);
  if (heirs.length === 0) return commit(state, takeover, at);
  const withinMs = takeover.cause === "switchover" ? HANDOVER_MS : SALVAGE_MS;
  const instances = heirs.map((tracked) => tracked.name);
  return step(
    { ...state, takeover: { ...takeover, step: "salvaging" } },
    { kind: "salvage", instances, withinMs },
  );
}

function heirsOf(state: ResourceState): Tracked[] {
  const wished = state.wish?.target ?? "";
  return state.instances.filter(
    (tracked) =>
      isMember(state.authority?.inSync ?? [], tracked) &&
      tracked.progress?.phase === "live" &&
      (!wished || tracked.name === wished),
  );
}

export function salvaged(state: ResourceState, complete: boolean, at: At): Step {
  const { takeover } = state;
  if (takeover.step !== "salvaging") return step(state);
  if (takeover.cause === "switchover" && !complete) {
    return calledOff(state, takeover, `the shadow did not take the last delta within ${HANDOVER_MS} ms`);
  }
  return commit(state, takeover, at);
}
