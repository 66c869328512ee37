/**
 * Who comes next, and how it takes over: the epoch is committed for it, its end of the mirror is turned around, and only then is it
 * told that it may write.
 */

import type { Authority, Member, Outcome } from "@understudy/state/store";
import { chooseNext } from "./candidates.ts";
import { announce, type Effect, type Step, step, then } from "./events.ts";
import { primaryOrder } from "./lease.ts";
import {
  type At,
  type Cause,
  change,
  find,
  memberOf,
  newTracked,
  nextIncarnation,
  type ResourceState,
  type Takeover,
  type Tracked,
} from "./resource-state.ts";
import { calledOff, hindered, lostRace, type Running } from "./setbacks.ts";
import { granted } from "./wishes.ts";

export function commit(state: ResourceState, takeover: Running, at: At): Step {
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
  const holder = target.host ?? "";
  return step(next, { kind: "commit", epoch: takeover.epoch, primary: target.to, holder, inSync, leaseMs });
}

function targetOf(
  state: ResourceState,
  cause: Cause,
  at: At,
): { readonly to: Member; readonly host?: string; readonly next: ResourceState } | { readonly why: string } {
  switch (cause) {
    case "first": {
      const { id, next } = nextIncarnation(state, at);
      // A recovered store names nobody, but the folder of the last primary has everything.
      const former = state.instances.find((tracked) => tracked.role === "primary");
      return { to: { instance: former?.name ?? `${state.resource}-1`, incarnation: id }, next };
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
      return choice.kind === "restart" ? choice : { ...choice, next: state };
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
  const { host } = find(state, to.instance) ?? { host: "" };
  if (host !== "") return handedOver(state, outcome.value, { to, host, former, at });
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

/** The epoch is that of a shadow elsewhere: whoever keeps it leads from now on, and we keep what is here for it. */
function handedOver(
  state: ResourceState,
  authority: Authority,
  { to, host, former, at }: { to: Member; host: string; former: string | undefined; at: At },
): Step {
  const { takeover } = state;
  if (takeover.step !== "committing") return step(state);
  const { cause, epoch, reason } = takeover;
  const demoted = former ? demote(state, former, cause, at) : state;
  const next: ResourceState = {
    ...demoted,
    authority,
    highestEpoch: epoch,
    lease: { held: "no" },
    joining: [],
    takeover: { step: "idle" },
    instances: demoted.instances
      .filter((tracked) => tracked.host === "")
      .map((tracked) => ({ ...tracked, progress: undefined, owed: undefined })),
  };
  const text = `${to.instance} on ${host} is the primary of epoch ${epoch} (${reason}); ${host} leads now`;
  return then(step(next, { kind: "hand-over", host }, announce(`${cause}.done`, text, to.instance)), granted);
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
export function resume(state: ResourceState, primary: Tracked, at: At): Step {
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
