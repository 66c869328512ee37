/**
 * The primary's right to take writes: renewed about six times a lease, used for half of it. Time runs on boot time, from
 * the moment a renewal was *sent*. When the store itself is gone, the right goes on by promise: as long as everyone who
 * could promote another (the hosts of the in-sync set) will not, and without a store nobody can.
 */

import type { RoleOrder } from "@understudy/resource/driver";
import type { Authority, Outcome } from "@understudy/state/store";
import { announce, type Effect, type Step, step } from "./events.ts";
import {
  type At,
  change,
  find,
  memberOf,
  primaryOf,
  type ResourceState,
  reigning,
} from "./resource-state.ts";
import { lossOf, seen } from "./store-view.ts";

const RENEWALS_PER_LEASE = 6;
/** The holder stops itself at this part of the lease: whoever waits it out waits for the whole. */
const USABLE_PART = 0.5;

/** Until when the primary may take writes, on boot time. */
export function usableUntilMs(state: ResourceState): number {
  const { lease, spec } = state;
  return lease.held === "no" ? 0 : lease.renewedBootMs + spec.lease.durationMs * USABLE_PART;
}

/** From when on a holder whose end was not confirmed must have stopped; a lease we know nothing of may be fresh. */
export function waitedOutMs(state: ResourceState, at: At): number {
  const { lease, spec } = state;
  return (lease.held === "no" ? at.bootMs : lease.renewedBootMs) + spec.lease.durationMs;
}

export function primaryOrder(state: ResourceState): RoleOrder {
  return { role: "primary", epoch: state.authority?.epoch ?? 0, untilBootMs: usableUntilMs(state) };
}

export function shadowOrder(state: ResourceState): RoleOrder {
  return { role: "shadow", epoch: state.authority?.epoch ?? 0, untilBootMs: 0 };
}

/** Whether an instance is primary under a valid lease now: what its gate answers. */
export function mayWrite(state: ResourceState, name: string, bootMs: number): boolean {
  const { step: at } = state.takeover;
  if (at !== "idle" && at !== "blocked" && at !== "claiming") return false;
  return reigning(state)?.name === name && bootMs < usableUntilMs(state);
}

/** Renews, or goes on by promise, when it is time. */
export function keepLease(state: ResourceState, at: At): Step {
  const { authority, lease, spec, takeover } = state;
  const primary = primaryOf(state);
  const ours = authority?.lease?.holder === state.host && primary && primary.stage.at !== "lost";
  const steady = takeover.step === "idle" || takeover.step === "blocked" || takeover.step === "promoting";
  if (!ours || !steady || state.renewing) return step(state);
  const dueMs = lease.held === "no" ? 0 : lease.renewedBootMs + spec.lease.durationMs / RENEWALS_PER_LEASE;
  if (at.bootMs < dueMs) return step(state);
  switch (state.store.phase) {
    case "unknown":
      return step(state);
    case "reachable":
      return step({ ...state, renewing: true }, { kind: "renew", epoch: authority.epoch });
    case "away":
    case "lost":
      return promised(state, at);
  }
}

function promised(state: ResourceState, at: At): Step {
  const hosts = promotersElsewhere(state);
  if (!hosts) return step(state);
  if (hosts.length === 0) return byPromise(state, at.bootMs);
  const { durationMs: leaseMs } = state.spec.lease;
  return step({ ...state, renewing: true }, { kind: "ask-promises", hosts, leaseMs });
}

/** Those that were asked have answered. What was asked for before the store was back is not needed any more. */
export function promises(
  state: ResourceState,
  { given, sentBootMs }: { given: boolean; sentBootMs: number },
): Step {
  const answered: ResourceState = { ...state, renewing: false };
  const { phase } = state.store;
  if (!given || (phase !== "away" && phase !== "lost") || !reigning(state)) return step(answered);
  return byPromise(answered, sentBootMs);
}

function byPromise(state: ResourceState, bootMs: number): Step {
  const next: ResourceState = { ...state, lease: { held: "by-promise", renewedBootMs: bootMs } };
  const said =
    state.lease.held === "by-promise"
      ? []
      : [
          announce(
            "lease.promised",
            "the store is gone; the primary goes on, and nobody is promoted until it is back",
          ),
        ];
  return step(next, ...said, ...toldPrimary(next));
}

/** Only a host with a member of the in-sync set may promote. Undefined when it is not known which host keeps one of them. */
function promotersElsewhere(state: ResourceState): readonly string[] | undefined {
  const members = [...(state.authority?.inSync ?? []), ...(state.inSyncChange ?? [])];
  const hosts = members.map((member) => find(state, member.instance)?.host);
  if (hosts.some((host) => host === undefined)) return undefined;
  return [...new Set(hosts.flatMap((host) => (host ? [host] : [])))];
}

export function renewed(state: ResourceState, outcome: Outcome<Authority>, sentBootMs: number): Step {
  const answered: ResourceState = { ...state, renewing: false };
  if (!outcome.saved) return refused(answered, outcome);
  if (lossOf(answered, outcome.value)) return seen(answered, outcome.value);
  const authority = answered.authority && { ...answered.authority, lease: outcome.value.lease };
  const next: ResourceState = {
    ...answered,
    authority,
    lease: { held: "by-store", renewedBootMs: sentBootMs },
  };
  return step(next, ...toldPrimary(next));
}

function toldPrimary(state: ResourceState): Effect[] {
  const primary = reigning(state);
  const steady = state.takeover.step === "idle" || state.takeover.step === "blocked";
  if (!primary || !steady) return [];
  return [{ kind: "set-role", member: memberOf(primary), order: primaryOrder(state) }];
}

function refused(state: ResourceState, outcome: Extract<Outcome<Authority>, { saved: false }>): Step {
  // Under another coordinator's claim the lease simply runs out: nothing is to be done but to stop in time.
  if (outcome.why === "claimed") return step(state);
  return seen(state, outcome.found);
}

/** Somebody else put a higher epoch in force: what was the primary here steps down at once. */
export function steppedDown(state: ResourceState, formerName: string, at: At): Step {
  const former = find(state, formerName);
  if (!former) return step(state);
  const why = `epoch ${state.authority?.epoch ?? 0} made another instance the primary`;
  const next = change({ ...state, lease: { held: "no" } }, formerName, {
    role: "shadow",
    crowned: 0,
    stage: { at: "lost", why, retryAtBootMs: at.bootMs },
  });
  return step(next, { kind: "set-role", member: memberOf(former), order: shadowOrder(next) });
}
