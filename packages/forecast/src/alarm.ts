/**
 * Will the value exceed the threshold within the longest horizon? It is foreseen when the forecast of the maximum
 * (maximum.ts), or that drawn half way to the level where forecasts only add noise, stands above a limit that few quiet
 * ticks ever reach (alarm-limits.ts). Where the value alone would have told more,
 * it is what has the limit. The share of the budget that the limit is set for follows the alarms that were really
 * false, as adaptive conformal inference does with coverage (Gibbs & Candes, 2021). A value above the threshold is an alarm
 * at once.
 *
 * A tick can be judged only when its horizon has passed; until then it waits in a ring. Nothing looks ahead.
 */

import { forgetMarks, LIMITS, mark, markable, setLimits, startMarks } from "./alarm-limits.ts";
import { addJudged } from "./alarm-score.ts";
import {
  chanceAbove,
  forgetMaxima,
  type Maximum,
  observeMaximum,
  skipMaximum,
  startMaximum,
  type View,
} from "./maximum.ts";
import { MARK_SCORES, ROW, SLOT } from "./plan.ts";
import { newestSlot, rowOf } from "./slots.ts";
import { CLOCK, clock, type State } from "./state.ts";

export const DETECTORS = ["value", "level", "trend", "season", "quantile"] as const satisfies readonly View[];
export type Detector = (typeof DETECTORS)[number] | "reactive" | "none";

export type Alarm = {
  readonly raised: boolean;
  /** That the threshold is exceeded within the longest horizon. */
  readonly probability: number;
  /** Steps until then at the least; 0 when it is exceeded now. */
  readonly leadSteps: number;
  /** Which detector speaks loudest. */
  readonly detector: Detector;
};

/** How far one false alarm moves the share of the budget, in logarithm, and the furthest it may go. */
const GAIN = 0.05;
const FACTOR_MAX = 1.5;
/** Limits are set anew after so many steps, or when the threshold has moved by this part of a unit. */
const LIMITS_EVERY = 64;
const THRESHOLD_MOVED = 0.25;
/** The level that the second score is drawn half way to. */
const LEVEL_SES = 2;
const MAXIMUM = 0;
const LEVEL = 1;
const VALUE = MARK_SCORES;

/** Fields of the part "alarm". */
const LAST_ABOVE = 0;
const FACTOR = 1;
const RAISED = 2;
const DETECTOR = 3;
const CHANCE = 4;
const SET_AT = 5;
const SET_FOR = 6;
/** Detectors by number; the reactive one comes after them. */
const REACTIVE = DETECTORS.length;

const maximum: Maximum = { foreseen: 0, unit: 0, view: "value" };
/** In units above the newest value. */
const scores = new Float64Array(MARK_SCORES);
const NO_SCORES = new Float64Array(MARK_SCORES);

export function startAlarm(state: State, series: number): void {
  startMaximum(state, series);
  startMarks(state, series);
  state.numbers[series * state.plan.numbers + state.plan.at.alarm + FACTOR] = 0;
  forgetTicks(state, series);
}

/** Ticks that wait to be judged never will be: their steps are counted anew. */
export function forgetTicks(state: State, series: number): void {
  const { plan, numbers, singles } = state;
  const at = series * plan.numbers + plan.at.alarm;
  numbers[at + LAST_ABOVE] = Number.NEGATIVE_INFINITY;
  numbers[at + SET_FOR] = Number.NaN;
  const flags = series * plan.singles + plan.in.alarmFlags;
  singles.fill(Number.NaN, flags, flags + plan.rows);
  forgetMaxima(state, series);
  forgetMarks(state, series);
}

/** After the forecasts of a tick: judges the tick whose horizon has passed, and decides about this one. */
export function observeAlarm(state: State, series: number, sample: number): void {
  const { plan, numbers, singles } = state;
  observeMaximum(state, series, maximum);
  const { foreseen } = maximum;
  // As marks and history keep them: a series that stands still must not seem to rise by what rounding took away.
  const unit = Math.fround(maximum.unit);
  const value = Math.fround(sample);
  const level = singles[rowOf(state, series) + ROW.ses + LEVEL_SES]!;
  scores[MAXIMUM] = markable((foreseen - value) / unit);
  scores[LEVEL] = markable(((foreseen + level) / 2 - value) / unit);
  mark(state, series, { unit, scores });
  const threshold = Math.fround(clock(state, series, CLOCK.threshold));
  const steps = clock(state, series, CLOCK.steps);
  const flag = flagAt(state, series, steps);
  singles[flag] = Number.NaN;
  const at = series * plan.numbers + plan.at.alarm;
  if (!Number.isFinite(threshold)) {
    numbers[at + RAISED] = 0;
    return;
  }
  if (value > threshold) numbers[at + LAST_ABOVE] = steps;
  judge(state, series, { at, steps: steps - plan.rows + 1 });
  if (areLimitsOld(state, { at, steps, threshold, unit })) {
    const budget = plan.falseAlarmBudget * Math.exp(numbers[at + FACTOR]!);
    setLimits(state, series, { threshold, budget });
    numbers[at + SET_AT] = steps;
    numbers[at + SET_FOR] = threshold;
  }
  const loudest = aboveLimit(state, series, { above: value - threshold, unit });
  numbers[at + CHANCE] = chanceAbove(state, series, (threshold - foreseen) / unit);
  if (value > threshold) {
    numbers[at + RAISED] = 1;
    numbers[at + DETECTOR] = REACTIVE;
    return;
  }
  singles[flag] = loudest < 0 ? 0 : 1;
  numbers[at + RAISED] = loudest < 0 ? 0 : 1;
  numbers[at + DETECTOR] = DETECTORS.indexOf(
    loudest === VALUE ? "value" : loudest === LEVEL ? "level" : maximum.view,
  );
}

/** A step without a sample: nothing was foreseen from it. */
export function skipAlarm(state: State, series: number): void {
  skipMaximum(state, series);
  mark(state, series, { unit: 0, scores: NO_SCORES });
  state.singles[flagAt(state, series, clock(state, series, CLOCK.steps))] = Number.NaN;
}

/** Of each tick of late: whether it had an alarm; NaN when there was nothing to foresee. */
function flagAt({ plan }: State, series: number, steps: number): number {
  return series * plan.singles + plan.in.alarmFlags + (steps % plan.rows);
}

/** The tick at `steps` was quiet when nothing was above the threshold since. */
function judge(state: State, series: number, { at, steps }: { at: number; steps: number }): void {
  const { numbers, singles, plan } = state;
  if (steps < 1) return;
  const flag = singles[flagAt(state, series, steps)]!;
  if (Number.isNaN(flag)) return;
  const quiet = numbers[at + LAST_ABOVE]! < steps;
  addJudged(state, series, { quiet, raised: flag === 1 });
  if (!quiet) return;
  const moved = numbers[at + FACTOR]! + GAIN * (plan.falseAlarmBudget - flag);
  numbers[at + FACTOR] = Math.min(FACTOR_MAX, Math.max(-FACTOR_MAX, moved));
}

function areLimitsOld(
  { numbers }: State,
  { at, steps, threshold, unit }: { at: number; steps: number; threshold: number; unit: number },
): boolean {
  const moved = Math.abs(threshold - numbers[at + SET_FOR]!);
  return !(moved <= THRESHOLD_MOVED * unit) || steps - numbers[at + SET_AT]! >= LIMITS_EVERY;
}

/** The score that stands above its limit; -1 when none does. `above`: from the threshold up to the value. */
function aboveLimit(
  { numbers, plan }: State,
  series: number,
  { above, unit }: { above: number; unit: number },
): number {
  const limits = series * plan.numbers + plan.at.marks + LIMITS;
  for (let k = 0; k < MARK_SCORES; k += 1) if (scores[k]! + above / unit > numbers[limits + k]!) return k;
  if (above > numbers[limits + VALUE]!) return VALUE;
  return -1;
}

/** Reads the alarm as it stands after the last sample. */
export function readAlarm(state: State, series: number): Alarm {
  const { plan, numbers } = state;
  const at = series * plan.numbers + plan.at.alarm;
  const threshold = clock(state, series, CLOCK.threshold);
  if (!Number.isFinite(threshold) || clock(state, series, CLOCK.samples) === 0) {
    return { raised: false, probability: 0, leadSteps: plan.rows - 1, detector: "none" };
  }
  const reactive = numbers[at + DETECTOR] === REACTIVE;
  return {
    raised: numbers[at + RAISED] === 1,
    probability: reactive ? 1 : numbers[at + CHANCE]!,
    leadSteps: reactive ? 0 : leadSteps(state, series, threshold),
    detector: reactive ? "reactive" : DETECTORS[numbers[at + DETECTOR]!]!,
  };
}

/** The first horizon at which the threshold is the likeliest to be exceeded. */
function leadSteps(state: State, series: number, threshold: number): number {
  const { plan, singles } = state;
  let best = Number.NEGATIVE_INFINITY;
  let lead = plan.rows - 1;
  for (let h = 0; h < plan.horizons.length; h += 1) {
    const slot = newestSlot(state, series, h);
    const score = scoreOfHorizon(singles, slot, { threshold, top: plan.levels.length - 1 });
    if (score >= 0) return plan.horizons[h]!;
    if (score > best) {
      best = score;
      lead = plan.horizons[h]!;
    }
  }
  return lead;
}

function scoreOfHorizon(
  singles: Float32Array,
  slot: number,
  { threshold, top }: { threshold: number; top: number },
): number {
  const middle = singles[slot + SLOT.center]!;
  const width = singles[slot + SLOT.quantiles + top]! - middle;
  return (middle - threshold) / Math.max(1e-9, width, 1e-6 * Math.abs(threshold));
}
