/**
 * Shadows across hosts, both sides. Here are those that we keep for the host that leads: made, started and ended as it asks.
 * And here is what other hosts tell of those they keep for us, turned into facts about them.
 */

import { type Effect, type Event, type KeptElsewhere, type Step, step, then } from "./events.ts";
import { shadowOrder } from "./lease.ts";
import {
  type At,
  change,
  find,
  leadsElsewhere,
  memberOf,
  newTracked,
  type ResourceState,
  type Tracked,
} from "./resource-state.ts";
import { lose } from "./shadows.ts";

type Asked = Extract<Event, { kind: "host-asked" }>;
type Told = Extract<Event, { kind: "host-told" }>;

/** What the host that leads asks of us. Whoever waits for it looks at the state. */
export function hostAsked(state: ResourceState, { asks, member }: Asked, at: At): Step {
  if (!leadsElsewhere(state)) return step(state);
  const tracked = find(state, member.instance);
  const same = tracked?.incarnation === member.incarnation ? tracked : undefined;
  switch (asks) {
    case "open":
      return same && same.stage.at !== "lost" ? step(state) : made(state, { ...member, before: tracked }, at);
    case "start": {
      if (same?.stage.at !== "seeding") return step(state);
      const next = change(state, same.name, { stage: { at: "starting" } });
      return step(next, { kind: "start", member, order: shadowOrder(next) });
    }
    case "end":
      return tracked ? ending(state, tracked) : step(state);
    case "remove": {
      if (!tracked || tracked.stage.at === "removing") return step(state);
      const next = change(state, tracked.name, { stage: { at: "removing" } });
      return step(next, { kind: "remove", member: memberOf(tracked) });
    }
  }
}

/** What is there under this name has to end first: it is asked for again. */
function made(
  state: ResourceState,
  { instance, incarnation, before }: { instance: string; incarnation: string; before: Tracked | undefined },
  at: At,
): Step {
  if (before) return ending(state, before);
  return step({ ...state, instances: [...state.instances, newTracked(instance, incarnation, "shadow", at)] });
}

function ending(state: ResourceState, tracked: Tracked): Step {
  if (tracked.stage.at === "ending") return step(state);
  const next = change(state, tracked.name, { stage: { at: "ending" } });
  return step(next, { kind: "end", member: memberOf(tracked) });
}

/** Not while we are taking it already: the claim may be in the store. */
export function promiseAsked(state: ResourceState, leaseMs: number, at: At): ResourceState {
  const resting = state.takeover.step === "idle" || state.takeover.step === "blocked";
  return resting && leadsElsewhere(state) ? { ...state, promisedUntilBootMs: at.bootMs + leaseMs } : state;
}

/** What another host keeps. Only whoever leads listens to it. */
export function hostTold(state: ResourceState, { host, shadows, first }: Told, at: At): Step {
  const awayHosts = state.awayHosts.filter((each) => each !== host);
  const back: ResourceState = { ...state, awayHosts };
  const missing = first
    ? back.instances.filter(
        (tracked) =>
          tracked.host === host &&
          tracked.mirror === "open" &&
          !shadows.some((each) => each.instance === tracked.name && each.incarnation === tracked.incarnation),
      )
    : [];
  const lost = missing.reduce(
    (sofar, tracked) => then(sofar, (next) => lose(next, tracked, { why: `${host} does not know it`, at })),
    step(back),
  );
  return shadows.reduce((sofar, each) => then(sofar, (next) => one(next, { host, ...each }, at)), lost);
}

function one(state: ResourceState, told: KeptElsewhere & { host: string }, at: At): Step {
  const { host, instance, incarnation } = told;
  const tracked = find(state, instance);
  if (!tracked) return step({ ...state, instances: [...state.instances, found(told, at)] });
  if (tracked.host !== host) {
    const dismiss: Effect = { kind: "dismiss", host, member: { instance, incarnation } };
    return step(state, dismiss);
  }
  // Of an earlier incarnation: its host ends it before it makes ours.
  if (tracked.incarnation !== incarnation) return step(state);
  if (told.phase === "gone") return lose(state, tracked, { why: told.why || `it ended on ${host}`, at });
  const { address, pid, pidStartTicks, phase } = told;
  const known = change(state, instance, address === "" ? {} : { address, pid, pidStartTicks });
  const ready =
    phase === "serving" && tracked.stage.at === "starting"
      ? change(known, instance, { stage: { at: "serving" }, readyAtMs: at.nowMs, attempts: 0 })
      : known;
  // After a restart of ours we do not know how far it had come.
  const unstarted = phase === "seeding" && tracked.stage.at === "starting" && tracked.address === "";
  const stage = unstarted ? change(ready, instance, { stage: { at: "seeding" } }) : ready;
  return step(told.open || tracked.mirror !== "open" ? stage : change(stage, instance, { mirror: "closed" }));
}

/** Kept for whoever led before us. */
function found(told: KeptElsewhere & { host: string }, at: At): Tracked {
  const { host, instance, incarnation, address, pid, pidStartTicks, phase, why } = told;
  const base = { ...newTracked(instance, incarnation, "shadow", at), host, address, pid, pidStartTicks };
  switch (phase) {
    case "seeding":
    case "starting":
      return { ...base, stage: { at: phase } };
    case "serving":
      return { ...base, stage: { at: phase }, readyAtMs: at.nowMs };
    case "gone":
      return { ...base, stage: { at: "lost", why, retryAtBootMs: at.bootMs } };
  }
}

export function hostAway(state: ResourceState, host: string): ResourceState {
  return state.awayHosts.includes(host) ? state : { ...state, awayHosts: [...state.awayHosts, host] };
}

/** What other hosts keep is of no concern to us while another host leads. */
export function forgetElsewhere(state: ResourceState): ResourceState {
  const isOurs = (tracked: Tracked) => tracked.host === "";
  if (!leadsElsewhere(state) || state.takeover.step !== "idle" || state.instances.every(isOurs)) return state;
  return { ...state, instances: state.instances.filter(isOurs) };
}
