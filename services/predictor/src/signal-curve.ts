/**
 * The curve of one signal over the requests an instance serves, and the rate at which it reaches its target.
 *
 * Busy workers' curve is known: by Little's law (1961) their mean is rate x service time, a line through the origin. A fitted
 * line comes out flatter, because the measured rate has noise of its own (regression dilution): it would promise a tenth more
 * than an instance carries. What may take its place is only what promises less: service times that grow with the load.
 */

import type { BindingSignal } from "@understudy/model/metric-names";
import type { ResourceSpec } from "@understudy/model/policy";
import { meanOf } from "./averages.ts";
import { type Candidate, chooseCurve, type Observation, type Regressor } from "./choose-curve.ts";
import { type Shape, scaled, steepnessAt, valueAt, xAt } from "./curve-shape.ts";
import type { LoadSample } from "./load-sample.ts";

const SAMPLES_MIN = 15;
/** The slowest sample must be at most this part of the fastest, or there is no slope to see. */
const VARIETY_MAX = 0.7;
/** Sizes that vary less than this, as a part of their mean, tell nothing that the rate does not. */
const SIZE_VARIES_MIN = 0.1;
/** Of the samples, to ask whether sizes tell more. */
const SIZED_MIN = 0.9;
/** What a request weighs now is a mean over so many samples. */
const SIZE_SAMPLES = 10;
/** A curve is used up to four times what was seen of its signal, not further. */
const SEEN_MIN = 0.25;
const R_SQUARED_MIN = 0.4;
/** Beyond this part of its limit a signal is saturated. */
const SATURATED = 0.92;

export type Curve = Shape & {
  readonly signal: string;
  readonly regressor: Regressor;
  /** x of a request per second: 1, or the bytes of a request of late. */
  readonly perRequest: number;
  /** Value of the signal to aim at; NaN when its limit is not known. */
  readonly target: number;
  /** Rate at which the signal reaches its target; NaN when the curve cannot say. */
  readonly carriesRps: number;
  /** Mean size of the errors on what it had not seen, in the signal's unit. */
  readonly error: number;
  readonly rSquared: number;
  readonly samples: number;
};

export type CapacityPolicy = ResourceSpec["capacity"];

/** `inForce`: the curve that holds until now, if any. Undefined when the samples do not give one. */
export function fitSignal(
  samples: readonly LoadSample[],
  { signal, policy, inForce }: { signal: BindingSignal; policy: CapacityPolicy; inForce?: Curve | undefined },
): Curve | undefined {
  const limit = limitOf(samples, { signal, policy });
  const usable = observationsOf(samples, signal).filter(({ value }) => !(value > SATURATED * limit));
  if (usable.length < SAMPLES_MIN) return undefined;
  const { observations, regressors } = withSizes(usable);
  const candidates = regressors.flatMap((regressor) => candidatesFor(signal, regressor));
  const chosen = chooseCurve(observations, candidates, inForce);
  if (!chosen) return undefined;
  const { regressor, shape, error } = chosen;
  const perRequest = regressor === "requests" ? 1 : sizeOf(observations.slice(-SIZE_SAMPLES));
  // Instances that were asked nothing of late have no size of a request.
  if (!(perRequest > 0 && Number.isFinite(perRequest))) return undefined;
  const values = observations.map(({ value }) => value);
  const rSquared = correlationSquared(
    values,
    observations.map((seen) => valueAt(shape, seen[regressor])),
  );
  const target = policy.target * limit;
  const says = Math.max(...values) >= SEEN_MIN * limit && rSquared >= R_SQUARED_MIN;
  const carriesRps = says ? xAt(shape, target) / perRequest : Number.NaN;
  const about = { signal, regressor, perRequest, target, carriesRps, error, rSquared };
  return { ...shape, ...about, samples: observations.length };
}

/** Whether it says what an instance carries. */
export function isTelling(curve: Curve | undefined): curve is Curve {
  return curve !== undefined && curve.carriesRps > 0;
}

export function signalAt(curve: Curve, rps: number): number {
  return valueAt(curve, rps * curve.perRequest);
}

export function rateAt(curve: Curve, value: number): number {
  return xAt(curve, value) / curve.perRequest;
}

/** The straight line over requests per second that is nearest where the curve reaches its target, or ends. */
export function lineOf(curve: Curve): { readonly intercept: number; readonly slope: number } {
  const x = Number.isFinite(curve.target) ? xAt(curve, curve.target) : curve.to;
  const slope = steepnessAt(curve, x);
  return { intercept: valueAt(curve, x) - slope * x, slope: slope * curve.perRequest };
}

/** The same curve when each request has become so many times as dear. */
export function dearer(curve: Curve, factor: number): Curve {
  const raised = { ...curve, ...scaled(curve, factor), error: curve.error * factor };
  return { ...raised, carriesRps: isTelling(curve) ? rateAt(raised, curve.target) : Number.NaN };
}

/** Those in which the signal was measured. */
export function observationsOf(samples: readonly LoadSample[], signal: string): Observation[] {
  return samples.flatMap(({ rps, bytesPerSecond, signals }) => {
    const value = signals[signal] ?? Number.NaN;
    return Number.isFinite(rps + value) ? [{ requests: rps, bytes: bytesPerSecond, value }] : [];
  });
}

/** Sizes are a regressor only where they are known and vary; then all candidates are judged by the sized samples. */
function withSizes(observations: readonly Observation[]): {
  readonly observations: readonly Observation[];
  readonly regressors: readonly Regressor[];
} {
  const requests: readonly Regressor[] = isVaried(observations, "requests") ? ["requests"] : [];
  const sized = observations.filter(({ bytes }) => Number.isFinite(bytes));
  const sizes = sized
    .filter(({ requests: rate }) => rate > 0)
    .map(({ bytes, requests: rate }) => bytes / rate);
  const isSized = sized.length >= Math.max(SAMPLES_MIN, SIZED_MIN * observations.length);
  if (!isSized || !(variationOf(sizes) > SIZE_VARIES_MIN) || !isVaried(sized, "bytes"))
    return { observations, regressors: requests };
  return { observations: sized, regressors: [...requests, "bytes"] };
}

/** Strictly below: an instance that is never asked has rates of 0 only, and no line goes through one point. */
function isVaried(observations: readonly Observation[], regressor: Regressor): boolean {
  const xs = observations.map((seen) => seen[regressor]);
  return Math.min(...xs) < VARIETY_MAX * Math.max(...xs);
}

/** The simplest first. */
function candidatesFor(signal: BindingSignal, regressor: Regressor): readonly Candidate[] {
  if (signal === "busyWorkers")
    return [
      { family: "little", regressor },
      { family: "power", regressor, upward: true },
    ];
  return (["robust", "linear", "power", "polynomial"] as const).map((family) => ({ family, regressor }));
}

/** NaN when nothing says how far a signal can go. */
function limitOf(
  samples: readonly LoadSample[],
  { signal, policy }: { signal: BindingSignal; policy: CapacityPolicy },
): number {
  if (signal === "busyWorkers") return samples.findLast(({ workers }) => workers > 0)?.workers ?? Number.NaN;
  return policy.limits[signal] ?? Number.NaN;
}

function sizeOf(observations: readonly Observation[]): number {
  const sum = (regressor: Regressor) => observations.reduce((total, seen) => total + seen[regressor], 0);
  return sum("bytes") / sum("requests");
}

function variationOf(values: readonly number[]): number {
  const mean = meanOf(values);
  return Math.sqrt(meanOf(values.map((value) => (value - mean) ** 2))) / mean;
}

/** 0 when one of them does not vary. */
function correlationSquared(a: readonly number[], b: readonly number[]): number {
  const [meanA, meanB] = [meanOf(a), meanOf(b)];
  const covariance = meanOf(a.map((value, i) => (value - meanA) * (b[i]! - meanB)));
  const varianceA = meanOf(a.map((value) => (value - meanA) ** 2));
  const varianceB = meanOf(b.map((value) => (value - meanB) ** 2));
  const squared = covariance ** 2 / (varianceA * varianceB);
  return Number.isFinite(squared) ? squared : 0;
}
