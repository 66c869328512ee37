/** What a decision was made from, to the wire, without loss: from inputs-from-wire.ts the same decision can be made again. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Instance } from "@understudy/model/instance";
import { VerdictState } from "@understudy/wire/gen/health";
import type { PredictionSchema } from "@understudy/wire/gen/prediction";
import {
  DecisionInputsSchema,
  type DecisionSettingsSchema,
  type InstanceInputSchema,
  type ObservedDemandSchema,
  type ShiftStateSchema,
  type DecisionInputs as WireInputs,
} from "@understudy/wire/gen/weight";
import { headerToWire, hlcToWire } from "@understudy/wire/header";
import { linkToWire } from "@understudy/wire/link-forecast";
import { instanceToWire, verdictStateToWire } from "@understudy/wire/roles";
import type { DecisionInputs, Knowledge, Settings } from "./decision.ts";
import type { Prediction } from "./inputs.ts";
import type { Observed } from "./resource-state.ts";
import type { Shift } from "./shift.ts";

export function inputsToWire({ decidedAtMs, known, capacityRps }: DecisionInputs): WireInputs {
  const { roles, prediction, observed, control } = known;
  return create(DecisionInputsSchema, {
    decidedAtMs,
    settings: settingsToWire(known.spec),
    primary: roles?.primary ?? "",
    instances: (roles?.instances ?? []).map((instance) => ({
      ...standingToWire(instance, known),
      capacityRps: capacityRps.get(instance.name) ?? 0,
    })),
    instanceRps: known.instanceRps,
    ...(observed ? { observed: observedToWire(observed) } : {}),
    ...(prediction ? { forecast: predictionToWire(prediction), forecastHeardAtMs: prediction.seenAtMs } : {}),
    shift: shiftToWire(known.shift),
    control: control.kind,
    manualPpm: control.kind === "manual" ? Object.fromEntries(control.readPpm) : {},
    previousPpm: Object.fromEntries(known.shares),
    previousLimits: Object.fromEntries(known.limits),
  });
}

function settingsToWire(spec: Settings): MessageInitShape<typeof DecisionSettingsSchema> {
  return {
    policy: spec.forecast.policy,
    quantile: spec.forecast.quantile,
    capacityTarget: spec.capacity.target,
    maxShadowShare: spec.routing.maxShadowShare,
    maxStalenessMs: spec.routing.maxStalenessMs,
    onlyStale: spec.routing.onlyStale,
    warmUpMs: spec.shadows.warmUpMs,
  };
}

/** What was said of an earlier incarnation does not count, and is left out. */
function standingToWire(
  instance: Instance,
  { verdicts, freshness }: Pick<Knowledge, "verdicts" | "freshness">,
): MessageInitShape<typeof InstanceInputSchema> {
  const verdict = verdicts.get(instance.name);
  const seen = freshness.get(instance.name);
  const isAbout = (said: { readonly incarnation: string }) => said.incarnation === instance.incarnation;
  return {
    instance: instanceToWire(instance),
    verdict: verdict && isAbout(verdict) ? verdictStateToWire(verdict.state) : VerdictState.UNSPECIFIED,
    ...(seen && isAbout(seen)
      ? { freshness: { live: seen.live, lagMs: seen.lagMs, heardAtMs: seen.seenAtMs } }
      : {}),
  };
}

function predictionToWire(prediction: Prediction): MessageInitShape<typeof PredictionSchema> {
  const { resource, ready, stepMs, levels, horizons, current, instanceRps, bindingSignal, links } =
    prediction;
  const sampledAt = { wallMs: prediction.sampledAtMs, counter: 0 };
  return {
    header: headerToWire({ resource, time: sampledAt, source: "" }),
    ready,
    stepMs,
    quantileLevels: [...levels],
    horizons: horizons.map(({ aheadMs, totalRps }) => ({ aheadMs, totalRps: [...totalRps] })),
    current: { ...current },
    capacity: { instanceRps, bindingSignal },
    sampledAt: hlcToWire(sampledAt),
    links: links.map(linkToWire),
  };
}

function observedToWire({ seenAtMs, ...observed }: Observed): MessageInitShape<typeof ObservedDemandSchema> {
  return { ...observed, heardAtMs: seenAtMs };
}

function shiftToWire({ turns, ...shift }: Shift): MessageInitShape<typeof ShiftStateSchema> {
  return { ...shift, turnedAtMs: [...turns] };
}
