/**
 * How many shadows there are and in what state: made, started once they are caught up, made again when lost, and let go
 * when they are not wanted any more. All from what is there and what is wanted; nothing is remembered of how it came about.
 */

import { announce, type Effect, type Step, step, then } from "./events.ts";
import { shadowOrder } from "./lease.ts";
import { isCrowded, isPlace, keptAt, placeFor } from "./placement.ts";
import {
  type At,
  change,
  isMember,
  leadsElsewhere,
  memberOf,
  newTracked,
  nextIncarnation,
  type ResourceState,
  reigning,
  type Tracked,
} from "./resource-state.ts";

/** The balancer is given this long to move the reads of a shadow that will go. */
export const DRAIN_MS = 300;
const RETRY_MIN_MS = 200;
const RETRY_MAX_MS = 5000;

export function wantedNow(state: ResourceState): number {
  if (!state.protect) return 0;
  const { min, max } = state.spec.shadows;
  // One more for a while, so that a shadow moves to a host that has none without ever being missing.
  const wanted = Math.max(min, state.wantedShadows) + (isCrowded(state) ? 1 : 0);
  return Math.max(min, Math.min(max, wanted));
}

/** Only under a reigning primary with its mirror open: without one there is nobody to mirror. */
export function keepShadows(state: ResourceState, at: At): Step {
  if (state.takeover.step !== "idle" || reigning(state)?.mirror !== "open") return step(state);
  const parts = [scaleOut, scaleIn, letGo, startSeeded, endLost];
  return parts.reduce((sofar, part) => then(sofar, (next) => part(next, at)), step(state));
}

function shadowsOf(state: ResourceState): Tracked[] {
  return state.instances.filter((tracked) => tracked.role === "shadow");
}

function staying(state: ResourceState): Tracked[] {
  return shadowsOf(state).filter(
    (tracked) => tracked.stage.at !== "draining" && tracked.stage.at !== "removing",
  );
}

function scaleOut(state: ResourceState, at: At): Step {
  const missing = wantedNow(state) - staying(state).length;
  if (missing <= 0) return step(state);
  const { id, next } = nextIncarnation(state, at);
  const host = placeFor(state);
  const tracked = { ...newTracked(freeName(next), id, "shadow", at), host };
  const where = host === "" ? "" : ` on ${host}`;
  const text = `${tracked.name} is being made${where}: ${wantedNow(state)} shadows are wanted`;
  const made = { ...next, instances: [...next.instances, tracked] };
  return then(step(made, announce("shadow.requested", text, tracked.name)), (more) => scaleOut(more, at));
}

function freeName(state: ResourceState): string {
  const taken = new Set(state.instances.map((tracked) => tracked.name));
  let number = 1;
  while (taken.has(`${state.resource}-${number}`)) number += 1;
  return `${state.resource}-${number}`;
}

/** One that cannot serve anyhow goes before one that can, then one on a crowded host, then the newest. */
function scaleIn(state: ResourceState, at: At): Step {
  const surplus = staying(state).length - wantedNow(state);
  if (surplus <= 0) return step(state);
  const going = [...staying(state)].sort(
    (a, b) =>
      Number(a.stage.at === "serving") - Number(b.stage.at === "serving") ||
      keptAt(state, b.host) - keptAt(state, a.host) ||
      b.requestedAtMs - a.requestedAtMs,
  )[0]!;
  const untilBootMs = at.bootMs + (going.stage.at === "serving" ? DRAIN_MS : 0);
  const next = change(state, going.name, { stage: { at: "draining", untilBootMs } });
  const text = `${going.name} is let go: ${wantedNow(state)} shadows are wanted`;
  return then(step(next, announce("shadow.draining", text, going.name)), (more) => scaleIn(more, at));
}

/** Once drained, and no member of the in-sync set any more. */
function letGo(state: ResourceState, at: At): Step {
  const members = [...(state.authority?.inSync ?? []), ...(state.inSyncChange ?? [])];
  const going = shadowsOf(state).filter(
    (tracked) =>
      tracked.stage.at === "draining" &&
      at.bootMs >= tracked.stage.untilBootMs &&
      !isMember(members, tracked),
  );
  const next = going.reduce((sofar, { name }) => change(sofar, name, { stage: { at: "removing" } }), state);
  return step(next, ...going.map((tracked): Effect => ({ kind: "remove", member: memberOf(tracked) })));
}

/** Also while nobody reigns: after a restart the one to promote may be behind a closed end. */
export function openEnds(state: ResourceState): Step {
  if (!state.adopted || (state.takeover.step !== "idle" && state.takeover.step !== "blocked"))
    return step(state);
  const closed = shadowsOf(state).filter(
    ({ mirror, stage }) =>
      mirror === "closed" && (stage.at === "seeding" || stage.at === "starting" || stage.at === "serving"),
  );
  const next = closed.reduce((sofar, { name }) => change(sofar, name, { mirror: "opening" }), state);
  return step(next, ...closed.map((tracked): Effect => ({ kind: "open-shadow", member: memberOf(tracked) })));
}

/** A shadow's program starts over state that has caught up: it must never show what only a lost primary had. */
function startSeeded(state: ResourceState): Step {
  const seeded = shadowsOf(state).filter(
    ({ stage, progress }) => stage.at === "seeding" && progress?.phase === "live",
  );
  const next = seeded.reduce((sofar, { name }) => change(sofar, name, { stage: { at: "starting" } }), state);
  const order = shadowOrder(state);
  return step(
    next,
    ...seeded.map((tracked): Effect => ({ kind: "start", member: memberOf(tracked), order })),
  );
}

function endLost(state: ResourceState, at: At): Step {
  const lost = shadowsOf(state).filter(
    ({ stage }) => stage.at === "lost" && at.bootMs >= stage.retryAtBootMs,
  );
  const next = lost.reduce((sofar, { name }) => change(sofar, name, { stage: { at: "ending" } }), state);
  return step(next, ...lost.map((tracked): Effect => ({ kind: "end", member: memberOf(tracked) })));
}

/** A lost shadow was fenced: made again over its old folder, as a new incarnation. */
export function ended(state: ResourceState, tracked: Tracked, at: At): Step {
  if (tracked.stage.at !== "ending") return step(state);
  const others = { ...state, instances: state.instances.filter((each) => each !== tracked) };
  // Whoever leads makes it again, or does not.
  if (leadsElsewhere(state)) return step(others);
  const { id, next } = nextIncarnation(state, at);
  const { name, gateAddress, attempts } = tracked;
  const stays = !state.awayHosts.includes(tracked.host) && isPlace(state, tracked.host);
  const host = stays ? tracked.host : placeFor(others);
  const again = { ...newTracked(name, id, "shadow", at), host, gateAddress, attempts };
  const text = `${name} is being made again over its old state`;
  return step(change(next, name, again), announce("shadow.recreated", text, name));
}

/** Evidence that an instance is dead. A primary's loss starts a failover, a shadow's its re-creation. */
export function lose(state: ResourceState, tracked: Tracked, evidence: { why: string; at: At }): Step {
  const { at } = tracked.stage;
  // The end of an instance that we are ending ourselves is no news.
  return at === "lost" || at === "ending" || at === "removing" ? step(state) : lost(state, tracked, evidence);
}

export function lost(state: ResourceState, tracked: Tracked, { why, at }: { why: string; at: At }): Step {
  const pauseMs =
    tracked.attempts === 0 ? 0 : Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** (tracked.attempts - 1));
  const next = change(state, tracked.name, {
    stage: { at: "lost", why, retryAtBootMs: at.bootMs + pauseMs },
    attempts: tracked.attempts + 1,
  });
  return step(next, announce("instance.lost", `${tracked.name} is lost: ${why}`, tracked.name));
}
