/**
 * Will the value exceed the threshold within the longest horizon? Detectors give scores: how high the value stands, where
 * the trend leads, what the season brings, what the quantiles say. What a score means is learnt where it matters: in quiet
 * time, from the share of ticks that had one as high. The most surprising detector speaks for all, weighed by how often it
 * foresaw what came, and the joint surprise is calibrated once more, so that the false alarms stay within their budget: a
 * factor on it follows the realised rate, as adaptive conformal inference does with coverage (Gibbs & Candes, 2021).
 *
 * A tick can be judged only when its horizon has passed; until then it waits in a ring. Nothing looks ahead.
 */

import { addJudged } from "./alarm-score.ts";
import { ALARM_BINS, ALARM_DETECTORS, ROW, SCALES, SLOT } from "./plan.ts";
import { profileAt, seasonPeriod } from "./season.ts";
import { newestRow, newestSlot } from "./slots.ts";
import { CLOCK, clock, type State } from "./state.ts";

export const DETECTORS = ["value", "level", "trend", "season", "quantile"] as const;
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

/** Memory of what a score means, in quiet ticks, and what is assumed of it before: so many quiet ticks. */
const FORGETTING = 1 / 1500;
const PRIOR_TICKS = 20;
/** Bins of a score, on the scale of asinh. */
const BINS_PER_UNIT = 6;
/** How far one false alarm moves the factor on the budget, in logarithm, and the furthest it may go. */
const GAIN = 0.05;
const FACTOR_MAX = 2;
/** The joint regression: its step, and where it starts from. */
const RATE = 0.02;
const WEIGHT_FIRST = 0.4;
const BIAS_FIRST = -5;
/** No tick is more surprising than one in a thousand: so few quiet ticks are remembered. */
const SURPRISE_MAX = 7;
/** Joint log odds are kept in bins of this width, from here on. */
const ODDS_BIN = 0.25;
const ODDS_MIN = -8;
const SCORE_CENTER = 40;
const SCORE_MIN = -1e6;

/** Fields of the part "alarm". */
const LAST_ABOVE = 0;
const FACTOR = 1;
const RAISED = 3;
const SPEAKER = 4;
const ODDS = 5;
const BIAS = 6;
const WEIGHTS = 7;
/** Weight of the next score and total, one pair for each detector and one for the joint odds. */
const TOTALS = WEIGHTS + ALARM_DETECTORS;
const ROW_ODDS = ALARM_DETECTORS;
const ROW_RAISED = ALARM_DETECTORS + 1;
const ROW_WIDTH = ALARM_DETECTORS + 2;

const scores = new Float64Array(ALARM_DETECTORS);
const surprises = new Float64Array(ALARM_DETECTORS);

export function startAlarm(state: State, series: number): void {
  const { plan, numbers, singles } = state;
  const at = series * plan.numbers + plan.at.alarm;
  forgetTicks(state, series);
  numbers[at + FACTOR] = 0;
  numbers[at + BIAS] = BIAS_FIRST;
  for (let d = 0; d < ALARM_DETECTORS; d += 1) numbers[at + WEIGHTS + d] = WEIGHT_FIRST;
  for (let k = 0; k <= ALARM_DETECTORS; k += 1) {
    const bins = series * plan.singles + plan.in.alarmHistograms + k * ALARM_BINS;
    singles.fill(0, bins, bins + ALARM_BINS);
    numbers[at + TOTALS + 2 * k] = 1;
    numbers[at + TOTALS + 2 * k + 1] = PRIOR_TICKS;
    // Before anything is known: a score above 0 is rare in quiet time, and so are odds above even.
    const end = k < ALARM_DETECTORS ? SCORE_CENTER : -ODDS_MIN / ODDS_BIN;
    for (let bin = 0; bin < end; bin += 1) singles[bins + bin] = PRIOR_TICKS / end;
  }
}

/** Ticks that wait to be judged never will be: their steps are counted anew. */
export function forgetTicks({ plan, numbers, singles }: State, series: number): void {
  numbers[series * plan.numbers + plan.at.alarm + LAST_ABOVE] = Number.NEGATIVE_INFINITY;
  const rows = series * plan.singles + plan.in.alarmRows;
  singles.fill(Number.NaN, rows, rows + plan.rows * ROW_WIDTH);
}

/** After the forecasts of a tick: judges the tick whose horizon has passed, scores this one, and decides. */
export function observeAlarm(state: State, series: number, value: number): void {
  const { plan, numbers } = state;
  const threshold = clock(state, series, CLOCK.threshold);
  if (Number.isNaN(threshold)) return;
  const at = series * plan.numbers + plan.at.alarm;
  const steps = clock(state, series, CLOCK.steps);
  const above = value > threshold;
  if (above) numbers[at + LAST_ABOVE] = steps;
  judge(state, series, { at, steps: steps - plan.rows + 1 });
  readScores(state, series, threshold);
  decide(state, series, { at, steps, above });
}

function alarmRow({ plan }: State, series: number, steps: number): number {
  return series * plan.singles + plan.in.alarmRows + (steps % plan.rows) * ROW_WIDTH;
}

/** The tick at `steps` was quiet when nothing was above the threshold since. */
function judge(state: State, series: number, { at, steps }: { at: number; steps: number }): void {
  const { numbers, singles } = state;
  if (steps < 1) return;
  const row = alarmRow(state, series, steps);
  if (Number.isNaN(singles[row]!)) return;
  const quiet = numbers[at + LAST_ABOVE]! < steps;
  addJudged(state, series, { quiet, raised: singles[row + ROW_RAISED] === 1 });
  learnJoint(state, series, { at, row, quiet });
  if (!quiet) return;
  for (let d = 0; d < ALARM_DETECTORS; d += 1)
    count(state, series, { at, k: d, bin: scoreBin(singles[row + d]!) });
  count(state, series, { at, k: ALARM_DETECTORS, bin: oddsBin(singles[row + ROW_ODDS]!) });
  const budget = state.plan.falseAlarmBudget;
  const moved = numbers[at + FACTOR]! + GAIN * (budget - (singles[row + ROW_RAISED] === 1 ? 1 : 0));
  numbers[at + FACTOR] = Math.min(FACTOR_MAX, Math.max(-FACTOR_MAX, moved));
}

/** One step of logistic regression on the surprises of a tick whose outcome is known. */
function learnJoint(
  state: State,
  series: number,
  { at, row, quiet }: { at: number; row: number; quiet: boolean },
): void {
  const { numbers, singles } = state;
  for (let d = 0; d < ALARM_DETECTORS; d += 1) scores[d] = singles[row + d]!;
  const odds = joinScores(state, series, at);
  const step = RATE * ((quiet ? 0 : 1) - 1 / (1 + Math.exp(-odds)));
  numbers[at + BIAS] = numbers[at + BIAS]! + step;
  for (let d = 0; d < ALARM_DETECTORS; d += 1) {
    numbers[at + WEIGHTS + d] = Math.max(0, numbers[at + WEIGHTS + d]! + step * surprises[d]!);
  }
}

/** Log odds of an exceedance, from `scores`; leaves the surprise of each detector in `surprises`. */
function joinScores(state: State, series: number, at: number): number {
  const { numbers } = state;
  let odds = numbers[at + BIAS]!;
  for (let d = 0; d < ALARM_DETECTORS; d += 1) {
    const share = tail(state, series, { at, k: d, bin: scoreBin(scores[d]!) });
    surprises[d] = Math.min(SURPRISE_MAX, -Math.log(Math.min(1, share)));
    odds += numbers[at + WEIGHTS + d]! * surprises[d]!;
  }
  return odds;
}

function oddsBin(odds: number): number {
  return (odds - ODDS_MIN) / ODDS_BIN;
}

function count(
  { plan, numbers, singles }: State,
  series: number,
  { at, k, bin }: { at: number; k: number; bin: number },
): void {
  const place = Math.min(ALARM_BINS - 1, Math.max(0, Math.floor(bin)));
  const bins = series * plan.singles + plan.in.alarmHistograms + k * ALARM_BINS;
  const weight = numbers[at + TOTALS + 2 * k]!;
  singles[bins + place] = singles[bins + place]! + weight;
  numbers[at + TOTALS + 2 * k + 1] = numbers[at + TOTALS + 2 * k + 1]! + weight;
  numbers[at + TOTALS + 2 * k] = weight / (1 - FORGETTING);
  if (weight < 1e6) return;
  for (let i = 0; i < ALARM_BINS; i += 1) singles[bins + i] = singles[bins + i]! / weight;
  numbers[at + TOTALS + 2 * k] = 1;
  numbers[at + TOTALS + 2 * k + 1] = numbers[at + TOTALS + 2 * k + 1]! / weight;
}

/** Share of quiet ticks with a score as high; within a bin by interpolation. */
function tail(
  { plan, numbers, singles }: State,
  series: number,
  { at, k, bin }: { at: number; k: number; bin: number },
): number {
  const bins = series * plan.singles + plan.in.alarmHistograms + k * ALARM_BINS;
  const place = Math.min(ALARM_BINS - 1, Math.max(0, Math.floor(bin)));
  let mass = singles[bins + place]! * Math.min(1, Math.max(0, place + 1 - bin));
  for (let i = place + 1; i < ALARM_BINS; i += 1) mass += singles[bins + i]!;
  const weight = numbers[at + TOTALS + 2 * k]!;
  return (mass + 0.25 * weight) / numbers[at + TOTALS + 2 * k + 1]!;
}

function scoreBin(score: number): number {
  return SCORE_CENTER + BINS_PER_UNIT * Math.asinh(score);
}

/** Writes the scores of the newest tick, in usual errors above the threshold. */
function readScores(state: State, series: number, threshold: number): void {
  const { plan, numbers, singles } = state;
  const row = newestRow(state, series);
  const scales = series * plan.numbers + plan.at.scales;
  const unit = 1 / Math.max(numbers[scales + 1]!, 1e-9, 1e-6 * Math.abs(threshold));
  const within = plan.rows - 1;
  scores[0] = (singles[row + ROW.last]! - threshold) * unit;
  scores[1] = (singles[row + ROW.ses + 2]! - threshold) * unit;
  const last = plan.horizons.length - 1;
  const line = singles[row + ROW.lines]! + within * singles[row + ROW.lines + 1]!;
  const farUnit = 1 / Math.max(numbers[scales + SCALES * last + 1]!, 1e-9, 1e-6 * Math.abs(threshold));
  scores[2] = (line - threshold) * farUnit;
  scores[3] = seasonScore(state, series, { row, threshold, within }) * unit;
  scores[4] = quantileScore(state, series, threshold);
  for (let d = 0; d < ALARM_DETECTORS; d += 1) {
    const score = scores[d]!;
    scores[d] = !Number.isNaN(score) ? Math.min(-SCORE_MIN, Math.max(SCORE_MIN, score)) : SCORE_MIN;
  }
}

/** The highest that the profile reaches within the horizon, above the threshold. */
function seasonScore(
  state: State,
  series: number,
  { row, threshold, within }: { row: number; threshold: number; within: number },
): number {
  if (seasonPeriod(state, series) === 0) return Number.NaN;
  let high = Number.NEGATIVE_INFINITY;
  for (let ahead = 1; ahead <= within; ahead += 1) {
    const value = (profileAt(state, series, ahead) + profileAt(state, series, ahead + 1)) / 2;
    if (value > high) high = value;
  }
  return high + state.singles[row + ROW.offsets + 1]! - threshold;
}

/** Over the horizons, how many deviations the threshold lies below the median at most. */
function quantileScore(state: State, series: number, threshold: number): number {
  const { plan, singles } = state;
  let best = Number.NEGATIVE_INFINITY;
  for (let h = 0; h < plan.horizons.length; h += 1) {
    const slot = newestSlot(state, series, h);
    const score = scoreOfHorizon(singles, slot, { threshold, top: plan.levels.length - 1 });
    if (score > best) best = score;
  }
  return 2 * best;
}

function decide(
  state: State,
  series: number,
  { at, steps, above }: { at: number; steps: number; above: boolean },
): void {
  const { numbers, singles } = state;
  const row = alarmRow(state, series, steps);
  const odds = joinScores(state, series, at);
  let speaker = 0;
  for (let d = 0; d < ALARM_DETECTORS; d += 1) {
    singles[row + d] = above ? Number.NaN : scores[d]!;
    if (numbers[at + WEIGHTS + d]! * surprises[d]! > numbers[at + WEIGHTS + speaker]! * surprises[speaker]!)
      speaker = d;
  }
  const share = tail(state, series, { at, k: ALARM_DETECTORS, bin: oddsBin(odds) });
  const foreseen = share <= state.plan.falseAlarmBudget * Math.exp(numbers[at + FACTOR]!);
  singles[row + ROW_ODDS] = odds;
  singles[row + ROW_RAISED] = foreseen ? 1 : 0;
  numbers[at + RAISED] = foreseen || above ? 1 : 0;
  numbers[at + SPEAKER] = above ? ALARM_DETECTORS : speaker;
  numbers[at + ODDS] = odds;
}

/** Reads the alarm as it stands after the last sample. */
export function readAlarm(state: State, series: number): Alarm {
  const { plan, numbers } = state;
  const at = series * plan.numbers + plan.at.alarm;
  const threshold = clock(state, series, CLOCK.threshold);
  if (Number.isNaN(threshold) || clock(state, series, CLOCK.samples) === 0) {
    return { raised: false, probability: 0, leadSteps: plan.rows - 1, detector: "none" };
  }
  const reactive = numbers[at + SPEAKER] === ALARM_DETECTORS;
  return {
    raised: numbers[at + RAISED] === 1,
    probability: reactive ? 1 : 1 / (1 + Math.exp(-numbers[at + ODDS]!)),
    leadSteps: reactive ? 0 : leadSteps(state, series, threshold),
    detector: reactive ? "reactive" : DETECTORS[numbers[at + SPEAKER]!]!,
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
