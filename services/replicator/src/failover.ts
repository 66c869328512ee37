/**
 * A change of primary, one step at a time: claim -> fence -> salvage -> commit -> promote. Each step is a state that waits for one
 * answer, so a replicator that dies in between resumes from what the store says: no epoch in force means start again,
 * an epoch in force whose primary was never told means promote. Planned and unplanned changes differ in the fence
 * (writes stopped, or the process group killed) and in whether the last delta may be missed.
 */

import type { FenceResult } from "@understudy/resource/driver";
import type { Authority, Claim, Member, Outcome } from "@understudy/state/store";
import { chooseNext } from "./candidates.ts";
import { announce, type Effect, type Step, step, then } from "./events.ts";
import { primaryOrder, shadowOrder, waitedOutMs } from "./lease.ts";
import {
  type At,
  type Cause,
  change,
  find,
  isMember,
  memberOf,
  newTracked,
  nextIncarnation,
  primaryOf,
  type ResourceState,
  reigning,
  type Takeover,
  type Tracked,
} from "./resource-state.ts";
import { seen, storeObstacle } from "./store-view.ts";
import { granted, wishRefused } from "./wishes.ts";

/** What a dead primary committed and nobody has yet may be on its disk; a failover waits this long for it. */
export const SALVAGE_MS = 60;
/** A planned change gives the last delta this long, and is called off otherwise. */
export const HANDOVER_MS = 2000;
const RETRY_MS = 100;

type Need = { readonly cause: Cause; readonly reason: string } | { readonly resume: Tracked } | undefined;

/** Starts, resumes or unblocks a change of primary when one is needed. */
export function advance(state: ResourceState, at: At): Step {
  const { takeover } = state;
  if (takeover.step === "waiting-out" && at.bootMs >= takeover.untilBootMs)
    return salvage(state, takeover, at);
  const resting = takeover.step === "idle" || takeover.step === "blocked";
  if (!state.adopted || !resting) return step(state);
  const need = needOf(state);
  if (!need) return takeover.step === "idle" ? step(state) : step({ ...state, takeover: { step: "idle" } });
  if (takeover.step === "blocked" && at.bootMs < takeover.retryAtBootMs) return step(state);
  if ("resume" in need) return resume(state, need.resume, at);
  const primary = primaryOf(state);
  // A program that will not start is not worth an epoch a millisecond.
  if (primary?.stage.at === "lost" && at.bootMs < primary.stage.retryAtBootMs) return step(state);
  if (need.cause === "failover" && chooseNext(state, "", at).kind === "wait") return step(state);
  return begin(state, need, at);
}

function needOf(state: ResourceState): Need {
  const { authority, wish } = state;
  if (!authority || state.store.phase === "unknown") return undefined;
  const named = authority.primary;
  if (!named) return unnamedNeed(state);
  const primary = primaryOf(state);
  if (!primary || primary.stage.at === "lost") {
    return {
      cause: "failover",
      reason: primary?.stage.at === "lost" ? primary.stage.why : "the primary is not here",
    };
  }
  if (primary.crowned !== authority.epoch) return state.lease.held === "no" ? undefined : { resume: primary };
  return wish && { cause: wish.kind === "switchover" ? "switchover" : "failover", reason: wish.reason };
}

/** The store names nobody: the resource is new, or the store was recovered while its primary ran on. */
function unnamedNeed(state: ResourceState): Need {
  const running = state.instances.find(
    (tracked) => tracked.role === "primary" && tracked.stage.at !== "lost",
  );
  if (running) return { cause: "reinstate", reason: "the store was recovered" };
  return state.protect ? { cause: "first", reason: "nobody was primary before" } : undefined;
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

function blocked(state: ResourceState, why: string, at: At): Step {
  const takeover: Takeover = { step: "blocked", why, retryAtBootMs: at.bootMs + RETRY_MS };
  const news =
    state.takeover.step === "blocked" && state.takeover.why === why
      ? []
      : [announce("failover.blocked", why)];
  return step({ ...state, takeover }, ...news);
}

/** What somebody asked for is refused rather than done at some later time; what is needed is tried again. */
function hindered(state: ResourceState, why: string, at: At): Step {
  return then(blocked(state, why, at), (next) => wishRefused(next, why));
}

export function claimed(state: ResourceState, outcome: Outcome<Claim>, at: At): Step {
  const { takeover } = state;
  if (takeover.step !== "claiming") return step(state);
  if (!outcome.saved) return lostRace(state, outcome, at);
  switch (takeover.cause) {
    case "first":
    case "reinstate":
      return commit(state, takeover, at);
    case "failover":
    case "switchover":
      return fence(state, takeover, at);
  }
}

/** Another coordinator was faster, or the store moved on: believe what it says and look again. */
function lostRace(state: ResourceState, outcome: { why: string; found: Authority }, at: At): Step {
  return then(seen(state, outcome.found), (next) => hindered(next, `the store refused: ${outcome.why}`, at));
}

type Running = Extract<Takeover, { epoch: number }>;

function fence(state: ResourceState, takeover: Running, at: At): Step {
  const named = state.authority?.primary;
  const old = named && find(state, named.instance);
  if (!old) return commit(state, takeover, at);
  const next: ResourceState = { ...state, takeover: { ...takeover, step: "fencing" } };
  const member = memberOf(old);
  if (takeover.cause === "switchover") {
    return step(next, { kind: "stop-writes", member, order: shadowOrder(state) });
  }
  return step(next, { kind: "fence", member });
}

export function fenced(
  state: ResourceState,
  instance: string,
  { result, at }: { result: FenceResult; at: At },
): Step {
  const { takeover } = state;
  if (takeover.step !== "fencing" || state.authority?.primary?.instance !== instance) return step(state);
  if (result.confirmed) return salvage(state, takeover, at);
  if (takeover.cause === "switchover")
    return calledOff(state, takeover, `its writes cannot be stopped: ${result.why}`);
  const untilBootMs = waitedOutMs(state, at);
  const text = `${instance} may still run (${result.why}): its lease is waited out`;
  return step(
    { ...state, takeover: { ...takeover, step: "waiting-out", untilBootMs } },
    announce("fence.unconfirmed", text),
  );
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

/** A planned change that cannot be finished is undone: the old primary writes on under its old epoch. */
function calledOff(state: ResourceState, takeover: Running, why: string): Step {
  const next: ResourceState = { ...state, takeover: { step: "idle" } };
  const old = reigning(next);
  const role: Effect[] = old ? [{ kind: "set-role", member: memberOf(old), order: primaryOrder(next) }] : [];
  return then(
    step(next, { kind: "abandon", epoch: takeover.epoch }, ...role, announce("switchover.called-off", why)),
    (after) => wishRefused(after, why),
  );
}

function commit(state: ResourceState, takeover: Running, at: At): Step {
  const target = targetOf(state, takeover.cause, at);
  if (!("to" in target)) {
    if (takeover.cause === "switchover") return calledOff(state, takeover, target.why);
    return then(step(state, { kind: "abandon", epoch: takeover.epoch }), (next) =>
      hindered(next, target.why, at),
    );
  }
  const inSync = (state.authority?.inSync ?? []).filter((member) => member.instance !== target.to.instance);
  const next: ResourceState = {
    ...target.next,
    takeover: { ...takeover, step: "committing", to: target.to },
  };
  const { durationMs: leaseMs } = state.spec.lease;
  return step(next, { kind: "commit", epoch: takeover.epoch, primary: target.to, inSync, leaseMs });
}

function targetOf(
  state: ResourceState,
  cause: Cause,
  at: At,
): { readonly to: Member; readonly next: ResourceState } | { readonly why: string } {
  switch (cause) {
    case "first": {
      const { id, next } = nextIncarnation(state, at);
      return { to: { instance: `${state.resource}-1`, incarnation: id }, next };
    }
    case "reinstate": {
      const running = state.instances.find(
        (tracked) => tracked.role === "primary" && tracked.stage.at !== "lost",
      );
      return running ? { to: memberOf(running), next: state } : { why: "the running primary is gone" };
    }
    case "failover":
    case "switchover": {
      const choice = chooseNext(state, state.wish?.target ?? "", at);
      if (choice.kind === "none" || choice.kind === "wait") return { why: choice.why };
      if (choice.kind === "restart" && cause === "switchover")
        return { why: "no in-sync shadow is there to take over" };
      return { to: choice.to, next: choice.kind === "restart" ? choice.next : state };
    }
  }
}

export function committed(
  state: ResourceState,
  outcome: Outcome<Authority>,
  { sentBootMs, at }: { sentBootMs: number; at: At },
): Step {
  const { takeover } = state;
  if (takeover.step !== "committing") return step(state);
  if (!outcome.saved) return lostRace(state, outcome, at);
  const { to } = takeover;
  const former = state.authority?.primary?.instance;
  const enthroned = enthrone(state, to, at);
  const demoted =
    former && former !== to.instance ? demote(enthroned, former, takeover.cause, at) : enthroned;
  const next: ResourceState = {
    ...demoted,
    authority: outcome.value,
    highestEpoch: takeover.epoch,
    lease: { held: "by-store", renewedBootMs: sentBootMs },
    joining: [],
    takeover: { ...takeover, step: "promoting" },
  };
  return step(next, { kind: "promote", member: to, epoch: takeover.epoch, order: primaryOrder(next) });
}

/** The instance of the epoch in force takes the role; one that does not run yet is started after its promotion. */
function enthrone(state: ResourceState, to: Member, at: At): ResourceState {
  const tracked = find(state, to.instance);
  const cleared = {
    role: "primary",
    progress: undefined,
    owed: undefined,
    deafSinceBootMs: undefined,
  } as const;
  if (tracked && tracked.incarnation === to.incarnation) {
    const stage = tracked.stage.at === "serving" || tracked.stage.at === "draining" ? "serving" : "starting";
    return change(state, to.instance, { ...cleared, stage: { at: stage } });
  }
  const fresh = newTracked(to.instance, to.incarnation, "primary", at);
  if (!tracked) return { ...state, instances: [...state.instances, fresh] };
  const { gateAddress, mirror, attempts } = tracked;
  return change(state, to.instance, { ...fresh, gateAddress, mirror, attempts });
}

/** The former primary: fenced, and to be made again; after a planned change it runs on and only changes sides. */
function demote(state: ResourceState, former: string, cause: Cause, at: At): ResourceState {
  const base = { role: "shadow", crowned: 0, mirror: "closed" } as const;
  if (cause === "switchover") return change(state, former, { ...base, stage: { at: "serving" } });
  const why = "it was the primary before";
  return change(state, former, {
    ...base,
    stage: { at: "lost", why, retryAtBootMs: at.bootMs },
    attempts: 0,
  });
}

/** The epoch is in force already, but its primary has not been told: a commit whose answer was lost, or a restart. */
function resume(state: ResourceState, primary: Tracked, at: At): Step {
  const epoch = state.authority!.epoch;
  const to = memberOf(primary);
  const takeover: Takeover = {
    step: "promoting",
    cause: "failover",
    epoch,
    reason: "resumed",
    startedBootMs: at.bootMs,
    to,
  };
  const next = change({ ...state, takeover }, primary.name, { role: "primary" });
  return step(next, { kind: "promote", member: to, epoch, order: primaryOrder(next) });
}

export function promoted(
  state: ResourceState,
  event: { member: Member; epoch: number; position: ResourceState["sealed"] },
  at: At,
): Step {
  const { takeover } = state;
  if (takeover.step !== "promoting" || takeover.epoch !== event.epoch) return step(state);
  const { instance } = event.member;
  const crowned = change(
    awaitingNews(
      { ...state, takeover: { step: "idle" }, sealed: { ...event.position, epoch: event.epoch } },
      at,
    ),
    instance,
    { crowned: event.epoch, mirror: "opening" },
  );
  const tracked = find(crowned, instance);
  const runs = tracked?.address !== "";
  const start: Effect[] = runs ? [] : [{ kind: "start", member: event.member, order: primaryOrder(crowned) }];
  const tookMs = Math.round(at.bootMs - takeover.startedBootMs);
  const text = `${instance} is the primary of epoch ${event.epoch} (${takeover.reason}), ${tookMs} ms after the claim`;
  return then(
    step(
      crowned,
      ...start,
      { kind: "open-primary", member: event.member, epoch: event.epoch, from: event.position },
      announce(`${takeover.cause}.done`, text, instance),
    ),
    granted,
  );
}

/** What the shadows told the former primary says nothing of how far they are with the new one. */
function awaitingNews(state: ResourceState, at: At): ResourceState {
  const instances = state.instances.map((tracked) => ({
    ...tracked,
    progress: undefined,
    owed: undefined,
    deafSinceBootMs: tracked.role === "shadow" ? at.bootMs : undefined,
  }));
  return { ...state, instances };
}
