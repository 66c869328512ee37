/**
 * What recorded demand teaches. It takes the way of live demand, step by step on the same grid of time, so that a predictor
 * goes on with it as if it had seen it itself: a season keeps its phase by the clock.
 */

import type { ForecastScorecard } from "@understudy/forecast/forecaster";
import type { ResourceSpec } from "@understudy/model/policy";
import { median } from "./averages.ts";
import { createDemand, type DemandLearnt, NO_PARTS } from "./demand.ts";

/** One sample: the requests per second in the interval before its time. */
export type Recorded = { readonly atMs: number; readonly rps: number };

export type Trained = {
  readonly demand: DemandLearnt;
  readonly samples: number;
  /** Usual time from one sample to the next. */
  readonly everyMs: number;
  readonly fromMs: number;
  readonly untilMs: number;
  /** When all of it is forgotten unless demand is seen again before. */
  readonly holdsUntilMs: number;
  /** Part of the samples that repeat the one before. */
  readonly repeated: number;
  readonly levels: readonly number[];
  readonly scorecard: ForecastScorecard;
};

/** Two months of seconds; the forecast remembers less. */
const SAMPLES_MAX = 5_000_000;
const RPS_MAX = 1e13;
/** Sampling times have jitter. */
const STEP_TOLERANCE = 1.05;

/** Samples in any order; of two with one time the later counts. Throws a RangeError that says what cannot be learnt from. */
export function train(
  recorded: readonly Recorded[],
  { policy, nowMs }: { policy: ResourceSpec["forecast"]; nowMs: number },
): Trained {
  if (recorded.length > SAMPLES_MAX) throw new RangeError(`more than ${SAMPLES_MAX} samples`);
  const samples = inOrder(recorded);
  const everyMs = checkTimes(samples, { stepMs: policy.stepMs, nowMs });
  const demand = createDemand(policy);
  let repeated = 0;
  for (const [index, { atMs, rps }] of samples.entries()) {
    if (!(rps >= 0 && rps <= RPS_MAX)) throw new RangeError(`${textOf(atMs)}: ${rps} is no demand`);
    if (rps === samples[index - 1]?.rps) repeated += 1;
    demand.observe({
      atMs,
      intervalMs: everyMs,
      readsPerSecond: rps,
      writesPerSecond: 0,
      bytesPerSecond: Number.NaN,
    });
  }
  const view = demand.view()!;
  if (!view.ready)
    throw new RangeError(
      `${samples.length} samples are too few: the forecast needs 16 steps and as many as its horizon has, without long holes at the end`,
    );
  const untilMs = samples.at(-1)!.atMs;
  return {
    // What part of requests is movable and how large they are was not recorded.
    demand: { forecaster: demand.learnt().forecaster, parts: NO_PARTS },
    samples: samples.length,
    everyMs,
    fromMs: samples[0]!.atMs,
    untilMs,
    holdsUntilMs: untilMs + view.scorecard.gapStepsMax * policy.stepMs,
    repeated: repeated / samples.length,
    levels: view.levels,
    scorecard: view.scorecard,
  };
}

function inOrder(recorded: readonly Recorded[]): readonly Recorded[] {
  const sorted = recorded.toSorted((a, b) => a.atMs - b.atMs);
  return sorted.filter(({ atMs }, index) => atMs !== sorted[index + 1]?.atMs);
}

/** The usual time between samples. */
function checkTimes(
  samples: readonly Recorded[],
  { stepMs, nowMs }: { stepMs: number; nowMs: number },
): number {
  if (samples.length < 2) throw new RangeError("fewer than two samples");
  const steps = samples.slice(1).map(({ atMs }, index) => atMs - samples[index]!.atMs);
  const everyMs = median(steps);
  if (everyMs > STEP_TOLERANCE * stepMs)
    throw new RangeError(
      `a sample each ${everyMs} ms says nothing about steps of ${stepMs} ms: record as often, or set forecast.stepMs to ${Math.ceil(everyMs)}`,
    );
  const untilMs = samples.at(-1)!.atMs;
  if (untilMs > nowMs + stepMs)
    throw new RangeError(`it ends at ${textOf(untilMs)}, ahead of this machine's clock`);
  return Math.min(everyMs, stepMs);
}

function textOf(atMs: number): string {
  return Number.isFinite(atMs) && Math.abs(atMs) <= 8.64e15 ? new Date(atMs).toISOString() : `${atMs} ms`;
}
