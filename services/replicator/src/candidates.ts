/**
 * Who may become primary, and who of them should. Only a member of the in-sync set has every acknowledged critical
 * write; so has the old primary itself, started again over its own folder.
 */

import { comparePositions, POSITION_ZERO } from "@understudy/model/position";
import type { Member } from "@understudy/state/store";
import {
  type At,
  find,
  isMember,
  leadsElsewhere,
  memberOf,
  nextIncarnation,
  type ResourceState,
  type Tracked,
} from "./resource-state.ts";

/** After so many failed starts of the old primary, a member without a running program is the better bet. */
const RESTARTS_MAX = 2;

export type Choice =
  | { readonly kind: "member"; readonly to: Member; readonly host: string }
  /** The old primary again, over its own folder. */
  | { readonly kind: "restart"; readonly to: Member; readonly next: ResourceState }
  /** A member's end of the mirror is still being opened. */
  | { readonly kind: "wait"; readonly why: string }
  | { readonly kind: "none"; readonly why: string };

/** `wished` names the instance that somebody asked for; empty: the best. */
export function chooseNext(state: ResourceState, wished: string, at: At): Choice {
  const members = membersHere(state).filter((tracked) => !wished || tracked.name === wished);
  if (wished && members.length === 0) return { kind: "none", why: `${wished} is not in the in-sync set` };
  const open = members.filter((tracked) => tracked.mirror === "open").sort(better);
  const alive = open.find((tracked) => tracked.stage.at !== "lost");
  if (alive) return { kind: "member", to: memberOf(alive), host: alive.host };
  if (members.some((tracked) => tracked.mirror === "opening" && tracked.stage.at !== "lost")) {
    return { kind: "wait", why: "the mirror of an in-sync shadow is still being opened" };
  }
  const former = formerHere(state);
  const dead = open[0];
  if (dead && (wished || !former || former.attempts >= RESTARTS_MAX))
    return { kind: "member", to: memberOf(dead), host: dead.host };
  if (former) return restart(state, former.instance, at);
  return { kind: "none", why: "no in-sync shadow is left, and the old primary's folder is not here" };
}

/** The old primary, when its folder is on this host: we track it, or we held its lease before our record was lost. */
function formerHere(state: ResourceState): { instance: string; attempts: number } | undefined {
  const named = state.authority?.primary;
  if (!named) return undefined;
  const tracked = find(state, named.instance);
  if (!tracked && state.authority?.lease?.holder !== state.host) return undefined;
  return { instance: named.instance, attempts: tracked?.attempts ?? 0 };
}

function restart(state: ResourceState, instance: string, at: At): Choice {
  const { id, next } = nextIncarnation(state, at);
  return { kind: "restart", to: { instance, incarnation: id }, next };
}

function membersHere(state: ResourceState): Tracked[] {
  const members = state.authority?.inSync ?? [];
  return state.instances.filter(
    (tracked) =>
      tracked.role === "shadow" &&
      // What another host keeps can be given the lead by whoever has it, and taken it by its own host alone.
      (tracked.host === "" || !leadsElsewhere(state)) &&
      !state.awayHosts.includes(tracked.host) &&
      tracked.stage.at !== "removing" &&
      tracked.stage.at !== "ending" &&
      isMember(members, tracked),
  );
}

/** Serving before starting, trusted before suspect, one here before one elsewhere, then the one that is furthest. */
function better(a: Tracked, b: Tracked): number {
  return (
    readiness(b) - readiness(a) ||
    Number(a.host !== "") - Number(b.host !== "") ||
    comparePositions(durableOf(b), durableOf(a)) ||
    a.requestedAtMs - b.requestedAtMs
  );
}

function readiness(tracked: Tracked): number {
  if (tracked.stage.at === "lost") return 0;
  if (tracked.stage.at !== "serving" && tracked.stage.at !== "draining") return 1;
  return tracked.verdict === "suspect" ? 2 : 3;
}

function durableOf(tracked: Tracked) {
  return tracked.progress?.durable ?? POSITION_ZERO;
}
