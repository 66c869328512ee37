/** How many shadows one resource wants, and what is to be said about it. */

import { count, perCent, type Reason, reasonOf, rps, type ScaleDecision } from "./decision.ts";
import type { Effect } from "./events.ts";
import { currentDemand, type ScaleOutcome, scaleByPolicy } from "./policies.ts";
import { presentShadows, type ResourceState } from "./resource-state.ts";
import { clampShadows, holdPeaks, type Scaled } from "./scale.ts";

/** What has not changed is said again this often: a replicator that was away hears it. */
const REPEAT_MS = 1_000;

type Outcome = { readonly next: ResourceState; readonly effects: readonly Effect[] };

/** Held while nobody is primary, while a person holds the weights, and until demand is known: after a restart nothing moves. */
export function decideScale(state: ResourceState, nowMs: number): Outcome {
  const present = presentShadows(state.roles!);
  const isFirst = state.scaleRevision === 0;
  const started = isFirst ? startScale(state, present, nowMs) : state;
  const held =
    state.roles!.primary === "" || state.control.kind !== "auto" || currentDemand(state, nowMs) === undefined;
  const outcome: ScaleOutcome = held
    ? { scale: started.scale, reactive: started.reactive, scaled: undefined }
    : scaleByPolicy(started, { present, nowMs });
  const changed = isFirst || outcome.scale.wanted !== started.scale.wanted;
  const scaleRevision = state.scaleRevision + (changed ? 1 : 0);
  const next = { ...started, scale: outcome.scale, reactive: outcome.reactive, scaleRevision };
  const isDue = changed || nowMs - state.scaleSaidAtMs >= REPEAT_MS;
  // The replicator acts on whatever is said: who does not act says nothing.
  if (next.spec.mode !== "act" || !isDue) return { next, effects: [] };
  const reason = scaleReason(next, outcome, held);
  const effects = sayScale(next, { present, grew: outcome.scale.wanted - started.scale.wanted, reason });
  return { next: { ...next, scaleSaidAtMs: nowMs }, effects };
}

function sayScale(
  { spec, scale, scaleRevision }: ResourceState,
  { present, grew, reason }: { present: number; grew: number; reason: Reason },
): Effect[] {
  const resource = spec.name;
  const decision: ScaleDecision = {
    resource,
    revision: scaleRevision,
    wantedShadows: scale.wanted,
    presentShadows: present,
    reason,
  };
  if (grew === 0) return [{ kind: "say-scale", decision }];
  const text = `${count(scale.wanted, "shadow")} wanted: ${reason.text}`;
  const what = grew > 0 ? "scale.out" : "scale.in";
  return [
    { kind: "say-scale", decision },
    { kind: "notice", notice: { resource, what, text, instance: "" } },
  ];
}

/** As many as there are: what runs was wanted by somebody who knew more than we do now. */
function startScale(state: ResourceState, present: number, nowMs: number): ResourceState {
  const held = holdPeaks(state.scale, { needed: present, holdMs: state.spec.shadows.holdMs, nowMs });
  return { ...state, scale: { ...held, wanted: clampShadows(present, state.spec) } };
}

function scaleReason(state: ResourceState, { scaled, reactive, scale }: ScaleOutcome, held: boolean): Reason {
  if (held) return reasonOf("hold", "demand or primary unknown, or weights held by hand");
  const { policy, reactiveTarget: target } = state.spec.forecast;
  switch (policy) {
    case "static":
    case "none":
      return reasonOf(policy, `policy ${policy}: ${count(scale.wanted, "shadow")} always`);
    case "reactive": {
      const { busyPart } = reactive;
      const text = `${perCent(busyPart)} of the workers busy, target ${perCent(target)}`;
      return reasonOf("reactive", text, { busyPart, target });
    }
    case "predictive":
      return forecastReason(state, scaled!);
  }
}

function forecastReason({ spec, observed, instanceRps }: ResourceState, scaled: Scaled): Reason {
  const observedRps = observed?.slowRps ?? 0;
  const { leadMs, seedMs, forecastRps = Number.NaN, needs, rule } = scaled;
  const foreseen = Number.isNaN(forecastRps)
    ? "no forecast"
    : `${rps(forecastRps)} foreseen within ${(leadMs / 1000).toFixed(1)} s`;
  const text = `${rps(observedRps)} here, ${foreseen}, ${rps(instanceRps)} an instance`;
  const { quantile } = spec.forecast;
  const inputs = { observedRps, forecastRps, instanceRps, leadMs, seedMs, quantile };
  const alternatives = Object.entries(needs).map(([name, value]) => ({ rule: name, value }));
  return { ...reasonOf(rule, rule === "hold" ? `${text}; held` : text, inputs), alternatives };
}
