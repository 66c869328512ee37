/**
 * How many shadows are wanted. Out: as many as the forecast demand needs by the time a new one could help, or as many as
 * the demand that is already there needs. In: only when what is there needs fewer, has needed fewer for a while, and no
 * rise is forecast for which the one let go would have to be made again.
 */

import type { Instance } from "@understudy/model/instance";
import type { LinkForecast } from "@understudy/model/link-forecast";
import type { ResourceSpec } from "@understudy/model/policy";
import { forecastPeak, type Prediction } from "./inputs.ts";
import { foreseenSeedMs } from "./links.ts";

/** Above all targets by this much is within what a target leaves free: noise must not make a shadow and let it go again. */
const TOLERANCE = 0.03;
/** A rise that lasts less than this is noise of the measurement. */
const OBSERVED_FOR_MS = 300;
/** Without a forecast one is kept so long after it was last needed: a predictor that is back knows the next rise, we do not. */
const BLIND_HOLD_MS = 30_000;
const CREATIONS_MAX = 16;
/** 0.9 quantile of the standard normal distribution, and its standard deviation over its median absolute deviation. */
const P90_DEVIATIONS = 1.2816;
const SCALE_OF_MAD = 1.4826;
const PEAKS_MAX = 1_024;

type Peak = { readonly atMs: number; readonly shadows: number };

export type Scale = {
  readonly wanted: number;
  /** What was needed lately, newest last; the largest of it holds. */
  readonly peaks: readonly Peak[];
  /** Since when the demand that is there has needed more than is wanted; 0: it does not. */
  readonly shortSinceMs: number;
  /** Measured times from request to ready, of the last creations. */
  readonly creations: readonly { readonly incarnation: string; readonly tookMs: number }[];
};

export const NO_SCALE: Scale = { wanted: 0, peaks: [], shortSinceMs: 0, creations: [] };

export type ScaleInputs = {
  readonly spec: ResourceSpec;
  readonly present: number;
  readonly prediction: Prediction | undefined;
  /** Smoothed demand that is there now. */
  readonly observedRps: number;
  readonly instanceRps: number;
  readonly nowMs: number;
};

export type Scaled = {
  readonly next: Scale;
  readonly rule: "predictive" | "reactive" | "hold" | "floor";
  readonly leadMs: number;
  /** What the first copy alone is foreseen to take; 0: not known. */
  readonly seedMs: number;
  readonly forecastRps: number | undefined;
  /** What each of them alone would want. */
  readonly needs: { readonly observed: number; readonly forecast: number; readonly keep: number };
};

export function scaleByForecast(scale: Scale, inputs: ScaleInputs): Scaled {
  const { spec, prediction, observedRps, nowMs } = inputs;
  const links = prediction?.links ?? [];
  const leadMs = leadTimeMs(scale, spec, links);
  const { quantile } = spec.forecast;
  // A forecast is made once a step: what it sees first may already be a step old when we read it.
  const withinMs = leadMs + spec.forecast.stepMs;
  const forecastRps = forecastPeak(prediction, { withinMs, quantile });
  // One let go and made again has cost its creation twice: keep it when the rise comes before that has paid.
  const keepRps = forecastPeak(prediction, {
    withinMs: withinMs + nextCreateMs(scale, spec, links),
    quantile,
  });
  const needs = {
    observed: shadowsFor(observedRps, inputs),
    forecast: shadowsFor(forecastRps ?? 0, inputs),
    keep: shadowsFor(keepRps ?? 0, inputs),
  };
  const shortSinceMs = needs.observed > scale.wanted ? scale.shortSinceMs || nowMs : 0;
  const isShort = shortSinceMs > 0 && nowMs - shortSinceMs >= OBSERVED_FOR_MS;
  const observed = isShort ? needs.observed : Math.min(needs.observed, scale.wanted);
  const needed = Math.max(observed, needs.forecast, Math.min(needs.keep, scale.wanted));
  const holdMs =
    forecastRps === undefined ? Math.max(BLIND_HOLD_MS, spec.shadows.holdMs) : spec.shadows.holdMs;
  const held = holdPeaks(scale, { needed, holdMs, nowMs });
  const wanted = clampShadows(held.wanted, spec);
  const rule = ruleOf(wanted, {
    observed,
    forecast: Math.max(needs.forecast, Math.min(needs.keep, scale.wanted)),
    spec,
  });
  const seedMs = foreseenSeedMs(links);
  return { next: { ...held, wanted, shortSinceMs }, rule, leadMs, seedMs, forecastRps, needs };
}

function ruleOf(
  wanted: number,
  { observed, forecast, spec }: { observed: number; forecast: number; spec: ResourceSpec },
): Scaled["rule"] {
  if (Math.max(observed, forecast) < wanted) return wanted <= spec.shadows.min ? "floor" : "hold";
  return forecast > observed ? "predictive" : "reactive";
}

/** The fewest shadows with which `demandRps` keeps every instance near its target or below. */
export function shadowsFor(demandRps: number, { instanceRps }: Pick<ScaleInputs, "instanceRps">): number {
  if (!(instanceRps > 0)) return 0;
  return Math.max(0, Math.ceil(demandRps / (instanceRps * (1 + TOLERANCE)) - 1e-9) - 1);
}

/** Wanted is the most that was needed within the hold time: out at once, in when it is over. */
export function holdPeaks(
  scale: Scale,
  { needed, holdMs, nowMs }: { needed: number; holdMs: number; nowMs: number },
): Scale {
  // A peak that a later one at least equals will never decide again.
  const recent = scale.peaks.filter((peak) => nowMs - peak.atMs < holdMs && peak.shadows > needed);
  const peaks = [...recent, { atMs: nowMs, shadows: needed }].slice(-PEAKS_MAX);
  return { ...scale, peaks, wanted: Math.max(...peaks.map((peak) => peak.shadows)) };
}

export function clampShadows(shadows: number, spec: ResourceSpec): number {
  return Math.min(Math.max(shadows, spec.shadows.min), spec.shadows.max);
}

/** From the request for a shadow to its full speed. */
export function leadTimeMs(scale: Scale, spec: ResourceSpec, links: readonly LinkForecast[]): number {
  return nextCreateMs(scale, spec, links) + spec.shadows.warmUpMs;
}

/** As measured, on the links as they were then; longer where the first copy alone is foreseen to take longer. */
function nextCreateMs(scale: Scale, spec: ResourceSpec, links: readonly LinkForecast[]): number {
  return Math.max(createTimeMs(scale, spec), foreseenSeedMs(links));
}

/**
 * P90 of the measured times from request to ready; the configured guess until there is one. Not the sample's own, which
 * for so few is its largest: that of a normal distribution with their median and scale (median absolute deviation, as in
 * Rousseeuw & Croux, 1993), so that one that was made in the worst of an overload does not make all that follow too early.
 */
export function createTimeMs(scale: Scale, spec: ResourceSpec): number {
  const times = scale.creations.map(({ tookMs }) => tookMs);
  if (times.length === 0) return spec.shadows.createMs;
  const middle = median(times);
  return middle + P90_DEVIATIONS * SCALE_OF_MAD * median(times.map((time) => Math.abs(time - middle)));
}

/** The mean of the two in the middle where there are two. */
function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}

type Creations = {
  readonly primary: string;
  readonly instances: readonly Pick<Instance, "name" | "incarnation" | "requestedAtMs" | "readyAtMs">[];
};

/** Learns from shadows that became ready; each incarnation counts once, and none that had to wait for its primary first. */
export function learnCreations(scale: Scale, { primary, instances }: Creations): Scale {
  const known = new Set(scale.creations.map(({ incarnation }) => incarnation));
  const primaryReadyAtMs =
    instances.find(({ name }) => name === primary)?.readyAtMs || Number.POSITIVE_INFINITY;
  const fresh = instances
    .filter(
      (one) =>
        one.name !== primary &&
        one.requestedAtMs >= primaryReadyAtMs &&
        one.readyAtMs > one.requestedAtMs &&
        !known.has(one.incarnation),
    )
    .map((one) => ({ incarnation: one.incarnation, tookMs: one.readyAtMs - one.requestedAtMs }));
  if (fresh.length === 0) return scale;
  return { ...scale, creations: [...scale.creations, ...fresh].slice(-CREATIONS_MAX) };
}
