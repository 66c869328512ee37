/** What is reported of one instance becomes a fact about it. Reports about an incarnation that is no more count for nothing. */

import type { Verdict } from "@understudy/model/instance";
import type { RunningInstance } from "@understudy/resource/driver";
import { type Event, type Step, step } from "./events.ts";
import { primaryOrder, shadowOrder } from "./lease.ts";
import {
  type At,
  change,
  find,
  isMember,
  memberOf,
  type ResourceState,
  reigning,
  type Tracked,
} from "./resource-state.ts";
import { ended, lose, lost } from "./shadows.ts";

export type InstanceEvent = Extract<Event, { readonly member: unknown; readonly kind: Reported }>;
type Reported =
  | "primary-opened"
  | "shadow-opened"
  | "started"
  | "moved"
  | "ready"
  | "ended"
  | "removed"
  | "failed"
  | "exited";

export function reported(state: ResourceState, event: InstanceEvent, at: At): Step {
  const tracked = find(state, event.member.instance);
  if (!tracked || !isMember([event.member], tracked)) return step(state);
  switch (event.kind) {
    case "primary-opened":
    case "shadow-opened":
      return step(change(state, tracked.name, { mirror: "open" }));
    case "started":
      return started(state, tracked, event.running);
    case "moved":
      return moved(state, tracked, event.running);
    case "ready":
      return step(ready(state, tracked, at));
    case "ended":
      return ended(state, tracked, at);
    case "removed":
      return step({ ...state, instances: state.instances.filter((each) => each !== tracked) });
    case "failed":
      return failed(state, tracked, { why: `${event.what}: ${event.why}`, at });
    case "exited":
      return lose(state, tracked, { why: `its process ended (${event.detail})`, at });
  }
}

function started(state: ResourceState, tracked: Tracked, running: RunningInstance): Step {
  const { address, pid, pidStartTicks } = running;
  const next = change(state, tracked.name, { address, pid, pidStartTicks });
  // It may have become the primary, or had its lease renewed, while it was being started.
  const order = reigning(next)?.name === tracked.name ? primaryOrder(next) : shadowOrder(next);
  return step(next, { kind: "set-role", member: memberOf(tracked), order });
}

function moved(state: ResourceState, tracked: Tracked, running: RunningInstance): Step {
  const { address, pid, pidStartTicks } = running;
  return step(change(state, tracked.name, { address, pid, pidStartTicks }));
}

function ready(state: ResourceState, tracked: Tracked, at: At): ResourceState {
  if (tracked.stage.at !== "starting") return state;
  return change(state, tracked.name, { stage: { at: "serving" }, readyAtMs: at.nowMs, attempts: 0 });
}

/** An effect on an instance did not work out. A promotion that fails is a primary that is lost. */
function failed(state: ResourceState, tracked: Tracked, { why, at }: { why: string; at: At }): Step {
  const promoting = state.takeover.step === "promoting" && isMember([state.takeover.to], tracked);
  const next: ResourceState = promoting ? { ...state, takeover: { step: "idle" } } : state;
  return tracked.stage.at === "lost" ? step(next) : lost(next, tracked, { why, at });
}

/** Only "down" is evidence of death, and only of an instance that has served: a start has its own time-out. */
export function judged(state: ResourceState, verdict: Verdict, at: At): Step {
  const tracked = find(state, verdict.instance);
  if (tracked?.incarnation !== verdict.incarnation) return step(state);
  const next = change(state, tracked.name, { verdict: verdict.state });
  const served = tracked.stage.at === "serving" || tracked.stage.at === "draining";
  if (verdict.state !== "down" || !served) return step(next);
  const evidence = verdict.evidence.filter((item) => !item.alive);
  const why = evidence.map((item) => `${item.signal}: ${item.detail}`).join("; ");
  return lose(next, tracked, { why: why || "health calls it down", at });
}
