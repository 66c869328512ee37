/**
 * The four policies, side by side: what demand each makes the shares for, and how many shadows each wants. Predictive is
 * ours; the others exist so that it can be compared with something honest, over the same driver and at the same speed.
 */

import type { Knowledge } from "./decision.ts";
import { type Demand, forecastPeak, type Prediction } from "./inputs.ts";
import { linkLeadMs } from "./links.ts";
import { scaleByBusy } from "./reactive.ts";
import { isFresh, type ResourceState } from "./resource-state.ts";
import { clampShadows, type Scaled, scaleByForecast } from "./scale.ts";

/**
 * From a changed weight to less work at the primary: applied in milliseconds, but what is queued there must drain. On top
 * comes what the link to the shadows adds, both to the reads that go there and to the versions they wait for.
 */
export const SHIFT_LEAD_MS = 1_000;

export type Wanted = {
  readonly demandRps: number;
  readonly forecastRps: number | undefined;
  /** How far ahead was looked; undefined: not at all. */
  readonly leadMs: number | undefined;
  /** Undefined: by demand. */
  readonly spread: boolean | undefined;
};

/** What the shares are to be made for, from the demand that is there and what is known of the future. */
export function demandToServe(state: Knowledge, currentRps: number, nowMs: number): Wanted {
  const unforeseen = { demandRps: currentRps, forecastRps: undefined, leadMs: undefined };
  switch (state.spec.forecast.policy) {
    case "predictive": {
      const { quantile } = state.spec.forecast;
      const prediction = freshPrediction(state, nowMs);
      const leadMs = SHIFT_LEAD_MS + linkLeadMs(prediction?.links ?? [], SHIFT_LEAD_MS);
      const forecastRps = forecastPeak(prediction, { withinMs: leadMs, quantile });
      return { demandRps: Math.max(currentRps, forecastRps ?? 0), forecastRps, leadMs, spread: undefined };
    }
    case "reactive":
      return { ...unforeseen, spread: undefined };
    case "static":
      return { ...unforeseen, spread: true };
    case "none":
      return { ...unforeseen, spread: false };
  }
}

export type ScaleOutcome = Pick<ResourceState, "scale" | "reactive"> & {
  readonly scaled: Scaled | undefined;
};

export function scaleByPolicy(
  state: ResourceState,
  { present, nowMs }: { present: number; nowMs: number },
): ScaleOutcome {
  const { spec, scale, reactive } = state;
  switch (spec.forecast.policy) {
    case "predictive": {
      const prediction = freshPrediction(state, nowMs);
      const observedRps = state.observed?.slowRps ?? 0;
      const { instanceRps } = state;
      const scaled = scaleByForecast(scale, { spec, present, prediction, observedRps, instanceRps, nowMs });
      return { scale: scaled.next, reactive, scaled };
    }
    case "reactive":
      return { ...scaleByBusy({ scale, reactive }, { spec, nowMs }), scaled: undefined };
    case "static":
      return { scale: { ...scale, wanted: spec.shadows.max }, reactive, scaled: undefined };
    case "none":
      return { scale: { ...scale, wanted: clampShadows(0, spec) }, reactive, scaled: undefined };
  }
}

export function freshPrediction(state: Pick<Knowledge, "prediction">, nowMs: number): Prediction | undefined {
  return isFresh(state.prediction, nowMs) ? state.prediction : undefined;
}

type Heard = Pick<Knowledge, "prediction" | "observed">;

/** The newest word on the demand that is there; undefined when all of it is stale. */
export function currentDemand(state: Heard, nowMs: number): number | undefined {
  const current: Demand | undefined = freshPrediction(state, nowMs)?.current;
  if (current) return current.movableRps + current.immovableRps;
  return isFresh(state.observed, nowMs) ? state.observed.fastRps : undefined;
}

/** When the sample behind a decision was taken; 0 when all is stale. */
export function sampleBehind(state: Heard, nowMs: number): number {
  const heard =
    freshPrediction(state, nowMs) ?? (isFresh(state.observed, nowMs) ? state.observed : undefined);
  return heard?.sampledAtMs ?? 0;
}
