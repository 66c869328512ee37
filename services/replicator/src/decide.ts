/**
 * The pure core: (state, event, time) -> { next, effects }. An event first becomes a fact, then everything that follows
 * from the facts is decided again: store, change of primary, lease, in-sync set, shadows. Nothing here reads a clock.
 */

import { adopt } from "./adopt.ts";
import { type Event, type Step, step, then } from "./events.ts";
import { advance, claimed, fenced, salvaged, shortened } from "./failover.ts";
import { forgetElsewhere, hostAsked, hostAway, hostTold, promiseAsked } from "./hosting.ts";
import { judged, reported } from "./instance-events.ts";
import { keepLease, promises, renewed, steppedDown } from "./lease.ts";
import { forgiveStandstill, inSyncSaved, keepMembership, progressed, reread } from "./membership.ts";
import {
  type At,
  change,
  leadsElsewhere,
  leadsHere,
  primaryOf,
  type ResourceState,
} from "./resource-state.ts";
import { saved, savePositions } from "./saves.ts";
import { keepShadows, openEnds } from "./shadows.ts";
import { askStore, leaseSeen, seen, storeFailed } from "./store-view.ts";
import { committed, promoted } from "./succession.ts";
import { told } from "./told.ts";
import { answerMirrors, asked } from "./wishes.ts";

export function decide(state: ResourceState, event: Event, at: At): Step {
  const fact = absorb(state, event, at);
  const parts = [
    askStore,
    settleRoles,
    openEnds,
    advance,
    keepLease,
    keepMembership,
    keepShadows,
    savePositions,
    answerMirrors,
  ];
  const decided = parts.reduce((sofar, part) => then(sofar, (next) => part(next, at)), fact);
  return told(state, decided);
}

function absorb(state: ResourceState, event: Event, at: At): Step {
  switch (event.kind) {
    case "adopted":
      return adopt(state, { ...event, at });
    case "configured":
      return step({ ...state, spec: event.spec });
    case "tick":
      return step(forgiveStandstill(state, at));
    case "store-read":
      return then(seen({ ...state, reading: false }, event.authority), (next) =>
        step(shortened(leaseSeen(reread(next), at))),
      );
    case "look-at-store":
      return state.reading
        ? step({ ...state, readAtBootMs: Number.NEGATIVE_INFINITY })
        : step({ ...state, reading: true, readAtBootMs: at.bootMs }, { kind: "read-store" });
    case "promise-asked":
      return step(promiseAsked(state, event.leaseMs, at));
    case "promises":
      return promises(state, event);
    case "host-asked":
      return hostAsked(state, event, at);
    case "host-told":
      return state.adopted && leadsHere(state) ? hostTold(state, event, at) : step(state);
    case "host-away":
      return step(hostAway(state, event.host));
    case "store-failed":
      return then(storeFailed(state, event.call, event.why), (next) => step(interrupted(next, event.call)));
    case "claimed":
      return claimed(state, event.outcome, at);
    case "committed":
      return committed(state, event.outcome, { ...event, at });
    case "renewed":
      return renewed(state, event.outcome, event.sentBootMs);
    case "in-sync-saved":
      return inSyncSaved(state, event.members, event.outcome);
    case "saved":
      return saved(state, { ...event, at });
    case "fenced":
      return fenced(state, event.instance, { ...event, at });
    case "salvaged":
      return salvaged(
        event.seen ? progressed(state, event.seen.sealed, { ...event.seen, at }) : state,
        event.complete,
        at,
      );
    case "promoted":
      return promoted(state, event, at);
    case "progress":
      return step(progressed(state, event.sealed, { ...event, at }));
    case "verdict":
      return judged(state, event.verdict, at);
    case "scale-wanted":
      return step({ ...state, wantedShadows: event.shadows });
    case "asked":
      return asked(state, { ...event, at });
    case "gate-opened":
      return step(change(state, event.instance, { gateAddress: event.address }));
    case "primary-opened":
    case "shadow-opened":
    case "started":
    case "moved":
    case "ready":
    case "ended":
    case "removed":
    case "failed":
    case "exited":
      return reported(state, event, at);
  }
}

/** A step that was waiting for the store starts again when the store is back. */
function interrupted(state: ResourceState, call: string): ResourceState {
  const { step: at } = state.takeover;
  const waiting = (call === "claim" && at === "claiming") || (call === "commit" && at === "committing");
  return waiting ? { ...state, takeover: { step: "idle" } } : state;
}

/** Roles follow the epoch in force: whoever it does not name is no primary. */
function settleRoles(state: ResourceState, at: At): Step {
  const named = state.authority?.primary;
  if (!state.adopted || !named || state.store.phase === "unknown" || state.takeover.step === "committing")
    return step(state);
  const primary = primaryOf(state);
  const crowned =
    primary && primary.role !== "primary" ? change(state, primary.name, { role: "primary" }) : state;
  const former = crowned.instances.find(
    (tracked) => tracked.role === "primary" && (tracked.name !== named.instance || leadsElsewhere(crowned)),
  );
  if (!former) return step(forgetElsewhere(crowned));
  return then(steppedDown(crowned, former.name, at), (next) => step(forgetElsewhere(next)));
}
