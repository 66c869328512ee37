/** One decision for one resource: shares, plan and wanted shadows, and what is to be said about them. */

import type { Plan } from "@understudy/traffic/driver";
import { limitsOf } from "./candidates.ts";
import { decideScale } from "./decide-scale.ts";
import type { DecisionInputs, Notice, Reason, WeightDecision } from "./decision.ts";
import type { Effect } from "./events.ts";
import { nextPlan, targetsOf } from "./plan.ts";
import { sampleBehind } from "./policies.ts";
import type { ResourceState } from "./resource-state.ts";
import { type Weighed, weigh } from "./weigh.ts";

/** What has not changed is said again this often: third parties can tell an old word from a dead balancer. */
const REPEAT_MS = 1_000;
/** A change of the shadows' share from here on is worth a line in the timeline. */
const NOTICE_PPM = 100_000;

export type ResourceDecision = { readonly next: ResourceState; readonly effects: readonly Effect[] };

/** Nothing is decided before roles are known, and what is in force at the load balancer. */
export function decideResource(state: ResourceState, nowMs: number): ResourceDecision {
  if (!state.roles || !state.recovered) return { next: state, effects: [] };
  const weighed = weigh(state, nowMs);
  const dead = new Set(
    weighed.candidates.filter(({ limitedBy }) => limitedBy === "down").map(({ instance }) => instance.name),
  );
  const targets = targetsOf(state.roles, { readPpm: weighed.shares, dead });
  const wanted = { pool: state.pool.name, epoch: state.roles.epoch, targets };
  const { plan, changed } = nextPlan(state.plan, wanted);
  const limits = limitsOf(weighed.candidates);
  const usedSampleMs = Math.max(state.usedSampleMs, sampleBehind(state, nowMs));
  const next = {
    ...state,
    shift: weighed.shift,
    shares: weighed.shares,
    limits,
    plan,
    decidedAtMs: nowMs,
    usedSampleMs,
  };
  const said = sayPlan(state, { next, weighed, plan, changed, nowMs });
  const scaled = decideScale(said.next, nowMs);
  return { next: scaled.next, effects: [...said.effects, ...scaled.effects] };
}

type Planned = {
  readonly next: ResourceState;
  readonly weighed: Weighed;
  readonly plan: Plan;
  readonly changed: boolean;
  readonly nowMs: number;
};

function sayPlan(before: ResourceState, { next, weighed, plan, changed, nowMs }: Planned): ResourceDecision {
  const resource = next.spec.name;
  const sampledAtMs = sampleBehind(next, nowMs);
  const effects: Effect[] = [];
  // A decision that came of something else must not be timed from an old sample.
  const isNew = sampledAtMs > before.usedSampleMs;
  // Level-triggered: an unchanged plan costs one question, and a load balancer that was restarted gets it back.
  if (next.spec.mode === "act")
    effects.push({ kind: "apply", resource, plan, sampledAtMs: isNew ? sampledAtMs : 0 });
  const due = changed || nowMs - next.saidAtMs >= REPEAT_MS;
  if (!due) return { next, effects };
  const inputs = inputsOf(before, { weighed, nowMs });
  effects.push({
    kind: "say-weights",
    decision: weightDecision(next, { weighed, plan, sampledAtMs, inputs }),
  });
  // Who only observes must not be taken at its word by a third party that drives its own load balancer.
  if (next.spec.mode !== "observe") effects.push({ kind: "say-plan", resource, plan });
  if (!changed) return { next: { ...next, saidAtMs: nowMs }, effects };
  for (const notice of noticesOf(before, { next, reason: weighed.reason, plan }))
    effects.push({ kind: "notice", notice });
  return { next: { ...next, saidAtMs: nowMs }, effects };
}

function inputsOf(
  known: ResourceState,
  { weighed, nowMs }: { weighed: Weighed; nowMs: number },
): DecisionInputs {
  const carries = weighed.candidates.map(
    ({ instance, strength }) => [instance.name, strength * known.instanceRps] as const,
  );
  return { decidedAtMs: nowMs, known, capacityRps: new Map(carries) };
}

function weightDecision(
  { spec, limits }: ResourceState,
  {
    weighed,
    plan,
    ...rest
  }: { weighed: Weighed; plan: Plan } & Pick<WeightDecision, "sampledAtMs" | "inputs">,
): WeightDecision {
  const targets = new Map(plan.targets.map((target) => [target.instance, target]));
  return {
    resource: spec.name,
    pool: plan.pool,
    revision: plan.revision,
    epoch: plan.epoch,
    reason: weighed.reason,
    ...rest,
    shares: weighed.candidates.map(({ instance: { name } }) => ({
      instance: name,
      readPpm: targets.get(name)?.readPpm ?? 0,
      writes: targets.get(name)?.writes ?? false,
      limitedBy: limits.get(name) ?? "",
    })),
  };
}

function noticesOf(
  before: ResourceState,
  { next, reason, plan }: { next: ResourceState; reason: Reason; plan: Plan },
): Notice[] {
  const resource = next.spec.name;
  const notices: Notice[] = [];
  const say = (what: Notice["what"], text: string, instance = "") =>
    notices.push({ resource, what, text, instance });
  const writer = (of: Plan | undefined) => of?.targets.find((target) => target.writes)?.instance ?? "";
  if (writer(plan) !== writer(before.plan)) {
    const text = writer(plan)
      ? `writes go to ${writer(plan)} in epoch ${plan.epoch}`
      : "writes wait: there is no primary";
    say("writes.moved", text, writer(plan));
  }
  const moved = shadowPpm(next) - shadowPpm(before);
  if (Math.abs(moved) >= NOTICE_PPM) say(moved > 0 ? "shift" : "return", reason.text);
  else if (reason.rule === "panic") say("panic", reason.text);
  return notices;
}

function shadowPpm({ shares, roles }: ResourceState): number {
  return [...shares].filter(([name]) => name !== roles?.primary).reduce((sum, [, ppm]) => sum + ppm, 0);
}
