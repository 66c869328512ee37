/**
 * The core of the balancer: an event in; the next state and the effects out. Roles and verdicts lead to a decision at once;
 * a prediction does as well unless there is a flood of them; everything else is taken note of until then.
 */

import type { Configuration } from "@understudy/model/policy";
import { decideResource } from "./decide-resource.ts";
import type { Decision, Event, State } from "./events.ts";
import { hearLoad, hearPrediction, newResource, type ResourceState } from "./resource-state.ts";
import { learnCreations } from "./scale.ts";

/** A prediction is decided on at once, also one that comes soon after a late one: left to the tick, its sample would be 100 ms old. Only what comes within 25 ms of another decision waits. */
const DECIDE_EVERY_MS = 25;
/** Without predictions the tick decides. */
const TICK_AFTER_MS = 150;

export const NO_STATE: State = new Map();

export function decide(state: State, event: Event, nowMs: number): Decision {
  switch (event.kind) {
    case "configured":
      return quiet(configure(state, event.configuration));
    case "recovered":
      return recover(state, event, nowMs);
    case "roles": {
      return now(state, event.roles.resource, nowMs, (one) => {
        // A replicator that was away may speak again with an old voice.
        if (one.roles && event.roles.epoch < one.roles.epoch) return undefined;
        return { ...one, roles: event.roles, scale: learnCreations(one.scale, event.roles) };
      });
    }
    case "verdict": {
      const { verdict } = event;
      const before = state.get(verdict.resource)?.verdicts.get(verdict.instance);
      const same = before?.state === verdict.state && before.incarnation === verdict.incarnation;
      const heard = (one: ResourceState) => ({
        ...one,
        verdicts: new Map(one.verdicts).set(verdict.instance, verdict),
      });
      return same
        ? quiet(change(state, verdict.resource, heard))
        : now(state, verdict.resource, nowMs, heard);
    }
    case "freshness": {
      const seen = { ...event.freshness, seenAtMs: nowMs };
      return quiet(
        change(state, seen.resource, (one) => ({
          ...one,
          freshness: new Map(one.freshness).set(seen.instance, seen),
        })),
      );
    }
    case "prediction": {
      const heard = change(state, event.prediction.resource, (one) =>
        hearPrediction(one, event.prediction, nowMs),
      );
      return whenDue(heard, [event.prediction.resource], { nowMs, afterMs: DECIDE_EVERY_MS });
    }
    case "load":
      return quiet(change(state, event.load.resource, (one) => hearLoad(one, event.load, nowMs)));
    case "tick":
      return whenDue(state, [...state.keys()], { nowMs, afterMs: TICK_AFTER_MS });
    case "verified":
      return verified(state, event);
    case "paused":
      return now(state, event.resource, nowMs, (one) => ({ ...one, control: { kind: "paused" } }));
    case "resumed":
      return now(state, event.resource, nowMs, (one) => ({ ...one, control: { kind: "auto" } }));
    case "manual":
      return now(state, event.resource, nowMs, (one) => ({
        ...one,
        control: { kind: "manual", readPpm: event.readPpm },
      }));
  }
}

function quiet(next: State): Decision {
  return { next, effects: [] };
}

/** What is not configured is not ours; `undefined` leaves it as it is. */
function change(
  state: State,
  resource: string,
  by: (one: ResourceState) => ResourceState | undefined,
): State {
  const one = state.get(resource);
  const next = one && by(one);
  return next ? new Map(state).set(resource, next) : state;
}

function now(
  state: State,
  resource: string,
  nowMs: number,
  by: (one: ResourceState) => ResourceState | undefined,
): Decision {
  const changed = change(state, resource, by);
  return changed === state ? quiet(state) : decideOne(changed, resource, nowMs);
}

function whenDue(
  state: State,
  resources: readonly string[],
  { nowMs, afterMs }: { nowMs: number; afterMs: number },
): Decision {
  return resources.reduce<Decision>((sofar, resource) => {
    const one = sofar.next.get(resource);
    if (!one || nowMs - one.decidedAtMs < afterMs) return sofar;
    const decision = decideOne(sofar.next, resource, nowMs);
    return { next: decision.next, effects: [...sofar.effects, ...decision.effects] };
  }, quiet(state));
}

function decideOne(state: State, resource: string, nowMs: number): Decision {
  const { next, effects } = decideResource(state.get(resource)!, nowMs);
  return { next: new Map(state).set(resource, next), effects };
}

/** Knowledge about a resource outlives a change of its settings; a resource that is gone is forgotten. */
function configure(state: State, configuration: Configuration): State {
  const next = new Map<string, ResourceState>();
  for (const spec of configuration.resources) {
    const pool = configuration.pools.find(({ name }) => name === spec.routing.pool);
    if (!pool) continue;
    const known = state.get(spec.name);
    const sameBalancer = known && known.pool.name === pool.name && known.pool.socket === pool.socket;
    if (sameBalancer) next.set(spec.name, { ...known, spec, pool });
    else next.set(spec.name, newResource(spec, pool));
  }
  return next;
}

/** After a restart traffic goes on as it is: what is in force is what we would have decided last. */
function recover(
  state: State,
  { pool, plan }: Extract<Event, { kind: "recovered" }>,
  nowMs: number,
): Decision {
  const resource = [...state.values()].find((one) => one.pool.name === pool)?.spec.name ?? "";
  return now(state, resource, nowMs, (one) => {
    if (!plan) return { ...one, recovered: true };
    // Later on it is only the revision that another balancer has reached: the shares are ours.
    const found = new Map(plan.targets.map((target) => [target.instance, target.readPpm]));
    return { ...one, recovered: true, plan, shares: one.recovered ? one.shares : found };
  });
}

/** So far off, so many times in a row, and traffic does not obey. */
const DISOBEYS_PPM = 100_000;
const DISOBEYS_TIMES = 3;

function verified(state: State, { resource, worstPpm }: Extract<Event, { kind: "verified" }>): Decision {
  const one = state.get(resource);
  if (!one) return quiet(state);
  const disobeyed = worstPpm > DISOBEYS_PPM ? one.disobeyed + 1 : 0;
  const next = new Map(state).set(resource, { ...one, disobeyed });
  if (disobeyed !== DISOBEYS_TIMES) return quiet(next);
  const text = `traffic is ${(worstPpm / 10_000).toFixed(1)} points away from the plan, for ${DISOBEYS_TIMES} s`;
  return {
    next,
    effects: [{ kind: "notice", notice: { resource, what: "traffic.disobeys", text, instance: "" } }],
  };
}
