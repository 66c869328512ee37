/** What people and other services ask for over gRPC, from the question to its answer. */

import { type Answer, type Effect, type Refusal, type Request, type Step, step } from "./events.ts";
import {
  type At,
  change,
  find,
  isMember,
  leadsElsewhere,
  type ResourceState,
  reigning,
  type Wish,
} from "./resource-state.ts";

/** Calls of Mirror that wait for a primary at once. Whoever waits longest has most likely gone, and gives way. */
export const WAITING_MIRRORS_MAX = 64;

const done: Answer = { done: true };

function refused(code: Refusal["code"], why: string): Answer {
  return { done: false, code, why };
}

export function asked(
  state: ResourceState,
  { id, request, at }: { id: number; request: Request; at: At },
): Step {
  const answer = (value: Answer): Effect => ({ kind: "answer", id, answer: value });
  if (leadsElsewhere(state) && request.kind !== "promote") {
    const { holder } = state.authority!.lease!;
    return step(
      state,
      answer(refused("failed-precondition", `${holder} leads ${state.resource}: ask its replicator`)),
    );
  }
  switch (request.kind) {
    case "mirror": {
      const next: ResourceState = { ...state, protect: true };
      if (reigning(next)?.stage.at === "serving") return step(next, answer(done));
      return awaitPrimary(next, id);
    }
    case "unmirror":
      return step({ ...state, protect: false }, answer(done));
    case "scale":
      return step({ ...state, wantedShadows: request.shadows }, answer(done));
    case "recreate":
      return recreate(state, { id, instance: request.instance, at });
    case "switchover":
      return wish(state, {
        id,
        kind: "switchover",
        target: request.target,
        reason: "switchover was asked for",
      });
    case "promote":
      return wish(state, {
        id,
        kind: "promote",
        target: request.target,
        reason: request.reason || "promotion was asked for",
      });
  }
}

function awaitPrimary(state: ResourceState, id: number): Step {
  const waiting = [...state.waitingForPrimary, id];
  const leaving = waiting.slice(0, Math.max(0, waiting.length - WAITING_MIRRORS_MAX));
  const why = `${WAITING_MIRRORS_MAX} later calls wait for a primary: ask again`;
  const answers = leaving.map(
    (each): Effect => ({ kind: "answer", id: each, answer: refused("aborted", why) }),
  );
  return step({ ...state, waitingForPrimary: waiting.slice(leaving.length) }, ...answers);
}

function recreate(
  state: ResourceState,
  { id, instance, at }: { id: number; instance: string; at: At },
): Step {
  const tracked = find(state, instance);
  const answer = (value: Answer): Effect => ({ kind: "answer", id, answer: value });
  if (!tracked) return step(state, answer(refused("not-found", `there is no instance ${instance}`)));
  if (tracked.role === "primary") {
    return step(
      state,
      answer(refused("failed-precondition", `${instance} is the primary: promote another one first`)),
    );
  }
  const why = "it was asked to be made again";
  const lost = { at: "lost", why, retryAtBootMs: at.bootMs } as const;
  return step(change(state, instance, { stage: lost, attempts: 0 }), answer(done));
}

function wish(state: ResourceState, wanted: Wish): Step {
  const why = objection(state, wanted);
  if (why) return step(state, { kind: "answer", id: wanted.id, answer: refused("failed-precondition", why) });
  return step({ ...state, wish: wanted });
}

function objection(state: ResourceState, { target }: Wish): string | undefined {
  if (state.wish || (state.takeover.step !== "idle" && state.takeover.step !== "blocked")) {
    return "a change of primary is under way";
  }
  const members = state.instances.filter((tracked) => isMember(state.authority?.inSync ?? [], tracked));
  if (members.length === 0) return "the in-sync set is empty: nobody may be promoted";
  if (target && !members.some((tracked) => tracked.name === target))
    return `${target} is not in the in-sync set`;
  return undefined;
}

export function granted(state: ResourceState): Step {
  if (!state.wish) return step(state);
  return step({ ...state, wish: undefined }, { kind: "answer", id: state.wish.id, answer: done });
}

export function wishRefused(state: ResourceState, why: string): Step {
  if (!state.wish) return step(state);
  const answer = refused("aborted", why);
  return step({ ...state, wish: undefined }, { kind: "answer", id: state.wish.id, answer });
}

/** Calls of Mirror end when the resource serves. */
export function answerMirrors(state: ResourceState): Step {
  if (state.waitingForPrimary.length === 0 || reigning(state)?.stage.at !== "serving") return step(state);
  const answers = state.waitingForPrimary.map((id): Effect => ({ kind: "answer", id, answer: done }));
  return step({ ...state, waitingForPrimary: [] }, ...answers);
}
