/**
 * The overload task: will the value exceed a threshold within 15 steps? The threshold is the 90th percentile of the
 * warm-up. An event is a first crossing after 5 quiet samples with 3 of the next 5 above; it is foreseen L steps ahead
 * when an alarm stood at least L and at most 15 steps before it, while the value itself was still below. A false tick is
 * an alarm with no exceedance within 15 steps; it is judged against the quiet ticks, those with none.
 */

import { warmUpSteps } from "./forecast-scores.ts";
import type { Series } from "./forecast-series.ts";

export const WITHIN_STEPS = 15;
export const LEADS = [5, 10] as const;
const QUIET_BEFORE = 5;
const ABOVE_OF_NEXT = 3;
const NEXT = 5;

export type OverloadScore = {
  readonly folder: string;
  readonly name: string;
  readonly events: number;
  /** Events foreseen by at least LEADS[i] steps. */
  readonly foreseen: readonly number[];
  readonly quietTicks: number;
  readonly falseTicks: number;
};

export function thresholdOf(series: Series): number {
  const known = series.values.subarray(0, warmUpSteps(series)).filter((value) => !Number.isNaN(value));
  const sorted = known.toSorted();
  return sorted[Math.min(sorted.length - 1, Math.floor(0.9 * sorted.length))]!;
}

/** `raised[step]` is 1 where an alarm stood after the sample of that step. */
export function scoreAlarms(series: Series, raised: Uint8Array): OverloadScore {
  const threshold = thresholdOf(series);
  const from = warmUpSteps(series);
  const events = eventsOf(series.values, threshold, from);
  const quiet = quietTicks(series.values, threshold, from);
  const stands = (step: number) => step >= from && raised[step] === 1 && !(series.values[step]! > threshold);
  const isForeseen = (event: number, lead: number) => {
    for (let step = event - WITHIN_STEPS; step <= event - lead; step += 1) if (stands(step)) return true;
    return false;
  };
  return {
    folder: series.folder,
    name: series.name,
    events: events.length,
    foreseen: LEADS.map((lead) => events.filter((event) => isForeseen(event, lead)).length),
    quietTicks: quiet.length,
    falseTicks: quiet.filter((step) => raised[step] === 1).length,
  };
}

/** An opponent helped by hindsight: alarm above that lower threshold which spends the budget on this very series. */
export function loweredThresholdAlarms(series: Series, budget: number): Uint8Array {
  const threshold = thresholdOf(series);
  const quiet = quietTicks(series.values, threshold, warmUpSteps(series));
  const values = Float64Array.from(quiet, (step) => series.values[step]!).sort();
  const lowered = values[Math.ceil((1 - budget) * values.length) - 1] ?? threshold;
  return Uint8Array.from(series.values, (value) => (value > lowered ? 1 : 0));
}

function eventsOf(values: Float64Array, threshold: number, from: number): number[] {
  const events: number[] = [];
  for (let step = from + WITHIN_STEPS; step < values.length - NEXT; step += 1) {
    if (!(values[step]! > threshold)) continue;
    const before = values.subarray(step - QUIET_BEFORE, step);
    const after = values.subarray(step + 1, step + 1 + NEXT);
    if (before.some((value) => value > threshold)) continue;
    if (after.filter((value) => value > threshold).length >= ABOVE_OF_NEXT) events.push(step);
  }
  return events;
}

/** Ticks that are not above the threshold and after which nothing is for 15 steps. */
function quietTicks(values: Float64Array, threshold: number, from: number): number[] {
  const quiet: number[] = [];
  let lastAbove = values.length + WITHIN_STEPS;
  for (let step = values.length - 1; step >= from; step -= 1) {
    if (values[step]! > threshold) lastAbove = step;
    const isJudged = step + WITHIN_STEPS < values.length && !Number.isNaN(values[step]!);
    if (isJudged && lastAbove - step > WITHIN_STEPS) quiet.push(step);
  }
  return quiet;
}
