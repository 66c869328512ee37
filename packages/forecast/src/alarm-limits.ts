/**
 * How high a score may be in quiet time. Marks of what was foreseen in the past are kept without regard to a threshold:
 * together with the history they tell, for whatever threshold is asked about now, which ticks were quiet, what their scores
 * would have been, and so which score is exceeded in no more than the budget of them (split conformal prediction: Vovk,
 * Gammerman & Shafer, 2005; the tail beyond the marks is taken for exponential). Two scores are kept in marks, and a third is
 * the value itself, which the history has, in the series' own unit; the one that would
 * have foreseen more at its own limit is in force.
 *
 * Limits are set on a slow clock and when the threshold moves, not at every tick. Marks are taken at every step of a young
 * series, of an old one at every fourth.
 */

import { historyAt, historyLength } from "./history.ts";
import { ALARM_SCORES, MARK_SCORES, MARKS } from "./plan.ts";
import { CLOCK, clock, type State } from "./state.ts";

/** A mark's score is kept in this part of a unit, and up to 127 units. */
const MARK_SCALE = 256;
const MARK_MAX = 32_767;
const STRIDE_MAX = 4;
/** With fewer quiet marks the limit stays as it is: at first that the maximum foreseen is the threshold itself. */
const QUIET_MIN = 30;
/** The tail beyond the highest mark is as thick as between it and this one. */
const TAIL_RANK = 10;
/** Half of the finite-sample correction of a conformal quantile: all of it gives half the budget away in small samples. */
const RANK_SHIFT = 0.5;

const quietScores = Array.from({ length: ALARM_SCORES }, () => new Float64Array(MARKS));
const eventScores = Array.from({ length: ALARM_SCORES }, () => new Float64Array(MARKS));
const limits = new Float64Array(ALARM_SCORES);

/** Fields of the part "marks". */
const STRIDE = 0;
/** One limit for each score; infinite for the one that is not in force. */
export const LIMITS = 1;

export function startMarks(state: State, series: number): void {
  const at = series * state.plan.numbers + state.plan.at.marks;
  state.numbers[at + LIMITS] = 0;
  for (let k = 1; k < ALARM_SCORES; k += 1) state.numbers[at + LIMITS + k] = Number.POSITIVE_INFINITY;
  forgetMarks(state, series);
}

/** The steps are counted anew; the limits stay. */
export function forgetMarks({ numbers, plan }: State, series: number): void {
  numbers[series * plan.numbers + plan.at.marks + STRIDE] = 1;
}

/** A score as a mark keeps it. */
export function markable(score: number): number {
  return Math.max(-MARK_MAX, Math.min(MARK_MAX, Math.round(MARK_SCALE * score))) / MARK_SCALE;
}

/** Keeps what is foreseen at the newest step: markable scores, in units above its value. `unit` 0: nothing is. */
export function mark(
  state: State,
  series: number,
  { unit, scores }: { unit: number; scores: Float64Array },
): void {
  const { numbers, plan, markUnits, markScores } = state;
  const at = series * plan.numbers + plan.at.marks;
  const steps = clock(state, series, CLOCK.steps);
  let stride = numbers[at + STRIDE]!;
  if (stride < STRIDE_MAX && steps >= MARKS * stride) {
    thinOut(state, series, { stride, steps });
    stride *= 2;
    numbers[at + STRIDE] = stride;
  }
  if (steps % stride !== 0) return;
  const place = series * MARKS + ((steps / stride) % MARKS);
  markUnits[place] = unit;
  for (let k = 0; k < MARK_SCORES; k += 1) markScores[place * MARK_SCORES + k] = MARK_SCALE * scores[k]!;
}

/** Every second mark is let go; the ring is full for the first time, so that each lies at its own number. */
function thinOut(
  { markUnits, markScores }: State,
  series: number,
  { stride, steps }: { stride: number; steps: number },
): void {
  for (let step = 2 * stride; step < steps; step += 2 * stride) {
    const from = series * MARKS + ((step / stride) % MARKS);
    const to = series * MARKS + ((step / stride / 2) % MARKS);
    markUnits[to] = markUnits[from]!;
    for (let k = 0; k < MARK_SCORES; k += 1)
      markScores[to * MARK_SCORES + k] = markScores[from * MARK_SCORES + k]!;
  }
}

/** Sets the limits for a threshold, so that `budget` of the quiet ticks exceed the one in force. */
export function setLimits(
  state: State,
  series: number,
  { threshold, budget }: { threshold: number; budget: number },
): void {
  const at = series * state.plan.numbers + state.plan.at.marks;
  const { quiet, events } = sortOut(state, series, threshold);
  if (quiet < QUIET_MIN) return;
  let [best, most] = [0, -1];
  for (let k = 0; k < ALARM_SCORES; k += 1) {
    limits[k] = limitOf(quietScores[k]!.subarray(0, quiet).sort(), budget);
    let foreseen = 0;
    for (let i = 0; i < events; i += 1) if (eventScores[k]![i]! > limits[k]!) foreseen += 1;
    if (foreseen > most) [best, most] = [k, foreseen];
  }
  for (let k = 0; k < ALARM_SCORES; k += 1)
    state.numbers[at + LIMITS + k] = k === best ? limits[k]! : Number.POSITIVE_INFINITY;
}

/** Writes the scores of marks, in units above the threshold, to quiet or to events: those after which it was exceeded. */
function sortOut(state: State, series: number, threshold: number): { quiet: number; events: number } {
  const { numbers, plan, markUnits, markScores } = state;
  const stride = numbers[series * plan.numbers + plan.at.marks + STRIDE]!;
  const steps = clock(state, series, CLOCK.steps);
  const within = plan.rows - 1;
  const known = Math.min(historyLength(state, series), MARKS * stride);
  let nextAbove = Number.POSITIVE_INFINITY;
  let [quiet, events] = [0, 0];
  for (let ago = 0; ago < known; ago += 1) {
    const step = steps - ago;
    const value = historyAt(state, series, ago);
    if (value > threshold) {
      nextAbove = step;
      continue;
    }
    if (ago < within || step % stride !== 0) continue;
    const place = series * MARKS + ((step / stride) % MARKS);
    const unit = markUnits[place]!;
    if (!(unit > 0)) continue;
    const isQuiet = nextAbove > step + within;
    for (let k = 0; k < ALARM_SCORES; k += 1) {
      const score =
        k < MARK_SCORES
          ? markScores[place * MARK_SCORES + k]! / MARK_SCALE + (value - threshold) / unit
          : value - threshold;
      if (isQuiet) quietScores[k]![quiet] = score;
      else eventScores[k]![events] = score;
    }
    if (isQuiet) quiet += 1;
    else events += 1;
  }
  return { quiet, events };
}

/** The score that `budget` of those like `ascending` exceed. */
function limitOf(ascending: Float64Array, budget: number): number {
  const count = ascending.length;
  const fromTop = (rank: number) => ascending[count - 1 - Math.min(count - 1, rank)]!;
  const rank = Math.min(budget, 1) * (count + 1) - 1 + RANK_SHIFT;
  if (rank < 0) {
    const deep = Math.min(count - 1, TAIL_RANK);
    const tail = (fromTop(0) - fromTop(deep)) / Math.log(deep + 1);
    return fromTop(0) - tail * Math.log((rank + 1 - RANK_SHIFT) / (1 - RANK_SHIFT));
  }
  const whole = Math.floor(rank);
  return fromTop(whole) + (rank - whole) * (fromTop(whole + 1) - fromTop(whole));
}
