/**
 * The overload task: will the value exceed a threshold within 15 steps? An event is a first crossing after 5 quiet samples
 * with 3 of the next 5 above; it is foreseen L steps ahead when an alarm stood at least L and at most 15 steps before it,
 * while the value itself was still below. A false tick is an alarm with no exceedance within 15 steps; it is judged
 * against the quiet ticks, those with none.
 */

export const WITHIN_STEPS = 15;
export const LEADS = [5, 10] as const;
const QUIET_BEFORE = 5;
const ABOVE_OF_NEXT = 3;
const NEXT = 5;

export type AlarmTask = {
  /** One per step; NaN where there was no sample. */
  readonly values: Float64Array;
  /** What must not be exceeded. */
  readonly threshold: number;
  /** The first step that is judged. */
  readonly from: number;
};

export type AlarmScore = {
  readonly events: number;
  /** Events foreseen by at least LEADS[i] steps. */
  readonly foreseen: readonly number[];
  readonly quietTicks: number;
  readonly falseTicks: number;
};

/** The 90th percentile of what came before `from`: a threshold for series that have none of their own. */
export function usualThreshold(values: Float64Array, from: number): number {
  const known = values.subarray(0, from).filter((value) => !Number.isNaN(value));
  const sorted = known.toSorted();
  return sorted[Math.min(sorted.length - 1, Math.floor(0.9 * sorted.length))] ?? Number.NaN;
}

/** `raised[step]` is 1 where an alarm stood after the sample of that step. */
export function scoreAlarms(task: AlarmTask, raised: Uint8Array): AlarmScore {
  const { values, threshold, from } = task;
  const events = eventsOf(task);
  const quiet = quietTicks(task);
  const stands = (step: number) => step >= from && raised[step] === 1 && !(values[step]! > threshold);
  const isForeseen = (event: number, lead: number) => {
    for (let step = event - WITHIN_STEPS; step <= event - lead; step += 1) if (stands(step)) return true;
    return false;
  };
  return {
    events: events.length,
    foreseen: LEADS.map((lead) => events.filter((event) => isForeseen(event, lead)).length),
    quietTicks: quiet.length,
    falseTicks: quiet.filter((step) => raised[step] === 1).length,
  };
}

function eventsOf({ values, threshold, from }: AlarmTask): number[] {
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
export function quietTicks({ values, threshold, from }: AlarmTask): number[] {
  const quiet: number[] = [];
  let lastAbove = values.length + WITHIN_STEPS;
  for (let step = values.length - 1; step >= from; step -= 1) {
    if (values[step]! > threshold) lastAbove = step;
    const isJudged = step + WITHIN_STEPS < values.length && !Number.isNaN(values[step]!);
    if (isJudged && lastAbove - step > WITHIN_STEPS) quiet.push(step);
  }
  return quiet;
}
