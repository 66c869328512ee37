/** What happens to a change of primary that cannot go on: it waits, looks again, or is undone. */

import type { Authority } from "@understudy/state/store";
import { announce, type Effect, type Step, step, then } from "./events.ts";
import { primaryOrder } from "./lease.ts";
import { type At, memberOf, type ResourceState, reigning, type Takeover } from "./resource-state.ts";
import { seen } from "./store-view.ts";
import { wishRefused } from "./wishes.ts";

const RETRY_MS = 100;

/** A change of primary that is under way. */
export type Running = Extract<Takeover, { epoch: number }>;

export function blocked(state: ResourceState, why: string, at: At): Step {
  const takeover: Takeover = { step: "blocked", why, retryAtBootMs: at.bootMs + RETRY_MS };
  const news =
    state.takeover.step === "blocked" && state.takeover.why === why
      ? []
      : [announce("failover.blocked", why)];
  return step({ ...state, takeover }, ...news);
}

/** What somebody asked for is refused rather than done at some later time; what is needed is tried again. */
export function hindered(state: ResourceState, why: string, at: At): Step {
  return then(blocked(state, why, at), (next) => wishRefused(next, why));
}

/** Another coordinator was faster, or the store moved on: believe what it says and look again. */
export function lostRace(state: ResourceState, outcome: { why: string; found: Authority }, at: At): Step {
  return then(seen(state, outcome.found), (next) => hindered(next, `the store refused: ${outcome.why}`, at));
}

/** A planned change that cannot be finished is undone: the old primary writes on under its old epoch. */
export function calledOff(state: ResourceState, takeover: Running, why: string): Step {
  const next: ResourceState = { ...state, takeover: { step: "idle" } };
  const old = reigning(next);
  const role: Effect[] = old ? [{ kind: "set-role", member: memberOf(old), order: primaryOrder(next) }] : [];
  return then(
    step(next, { kind: "abandon", epoch: takeover.epoch }, ...role, announce("switchover.called-off", why)),
    (after) => wishRefused(after, why),
  );
}
