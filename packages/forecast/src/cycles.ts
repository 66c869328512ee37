/**
 * Days, hours and minutes: what people do repeats by the clock, often too faintly to be found and believed as a season
 * (season.ts). For each of up to two such cycles an expert takes what the others say together and moves it by a part of how
 * the series changed over the same steps in earlier cycles. That part is learnt by least squares on what the others left
 * over: where the clock says nothing it is 0, and the expert repeats them.
 */

import { historyLength } from "./history.ts";
import { clip } from "./least-squares.ts";
import { combine } from "./mixture.ts";
import { CYCLES, EXPERT, EXPERTS, HISTORY_STEPS, PERIOD_MAX_STEPS, SLOT } from "./plan.ts";
import type { Made } from "./slots.ts";
import { CLOCK, clock, type State } from "./state.ts";

const CLOCKS_MS = [60_000, 300_000, 3_600_000, 86_400_000] as const;
/** A shorter one the lags of the least squares know. */
const CYCLE_STEPS_MIN = 6;
/** Earlier cycles that are looked at, as far as the history goes back. */
const EARLIER_MAX = 8;
/** A place in a cycle is a mean of a few samples, spread over this part of the cycle to either side. */
const SPREAD_PART = 1 / 192;
const POINTS_TO_A_SIDE = 3;
/** What is left of the past after each further step, and how many usual errors speak for no change at first. */
const MEMORY = 0.998;
const PRIOR = 20;
const PART_MAX = 1.2;
/** Changes and errors beyond so many usual errors are clipped: one wild sample must not turn the part over. */
const CHANGE_MAX = 8;
const ERROR_MAX = 3;
const MASK = HISTORY_STEPS - 1;

/** The longest cycles of the clock that a history holds twice, in steps; 0 for none. */
export function cyclesOf(stepMs: number): number[] {
  const steps = CLOCKS_MS.map((ms) => Math.round(ms / stepMs)).filter(
    (cycle) => cycle >= CYCLE_STEPS_MIN && cycle <= PERIOD_MAX_STEPS,
  );
  return Array.from({ length: CYCLES }, (_, c) => steps.at(-1 - c) ?? 0);
}

/** After the other experts stand in the slot: writes what each cycle makes of them, NaN for one that knows nothing yet. */
export function writeCycles(state: State, series: number, { h, slot }: Made): void {
  const { plan, numbers, singles, experts } = state;
  for (let i = 0; i < EXPERTS; i += 1) experts[i] = singles[slot + SLOT.experts + i]!;
  experts.fill(Number.NaN, EXPERT.cycles, EXPERT.cycles + CYCLES);
  combine(numbers, series * plan.numbers + plan.at.mixture + h * EXPERTS, experts);
  const others = experts[EXPERTS]!;
  singles[slot + SLOT.others] = others;
  for (let c = 0; c < CYCLES; c += 1) {
    writeChange(state, series, {
      cycle: plan.cycles[c]!,
      ahead: plan.horizons[h]!,
      into: slot + SLOT.changes + c,
    });
    const sums = sumsOf(state, series, { h, c });
    const part = Math.max(0, Math.min(PART_MAX, numbers[sums + 1]! / (numbers[sums]! + PRIOR)));
    singles[slot + SLOT.experts + EXPERT.cycles + c] = others + part * singles[slot + SLOT.changes + c]!;
  }
}

/** Learns from a forecast whose sample has come. */
export function learnCycles(state: State, series: number, { h, slot, value }: Made): void {
  const { plan, numbers, singles } = state;
  const unit = singles[slot + SLOT.scales + 1]!;
  const error = clip((value - singles[slot + SLOT.others]!) / unit, ERROR_MAX);
  const stride = plan.strides[h]!;
  const memory = MEMORY ** stride;
  for (let c = 0; c < CYCLES; c += 1) {
    const change = clip(singles[slot + SLOT.changes + c]! / unit, CHANGE_MAX);
    const sums = sumsOf(state, series, { h, c });
    numbers[sums] = memory * numbers[sums]! + stride * change * change;
    numbers[sums + 1] = memory * numbers[sums + 1]! + stride * change * error;
  }
}

/** Of changes squared, and of changes times errors. */
function sumsOf({ plan }: State, series: number, { h, c }: { h: number; c: number }): number {
  return series * plan.numbers + plan.at.cycles + 2 * (h * CYCLES + c);
}

/** Writes how much the series changed over `ahead` steps from this place on in earlier cycles, their mean; NaN without one. */
function writeChange(
  state: State,
  series: number,
  { cycle, ahead, into }: { cycle: number; ahead: number; into: number },
): void {
  const { history, singles } = state;
  const reach = Math.floor(cycle * SPREAD_PART);
  const stride = Math.max(1, Math.round(reach / POINTS_TO_A_SIDE));
  const known = historyLength(state, series);
  const base = series * HISTORY_STEPS;
  const newest = clock(state, series, CLOCK.steps) - 1;
  const earlier = cycle > 0 ? Math.min(EARLIER_MAX, Math.floor((known - 1 - reach) / cycle)) : 0;
  let sum = 0;
  let count = 0;
  for (let k = 1; k <= earlier; k += 1) {
    const back = k * cycle;
    if (ahead + reach > back) continue;
    const from = newest - back;
    for (let off = -reach; off <= reach; off += stride) {
      sum += history[base + ((from + ahead + off) & MASK)]! - history[base + ((from + off) & MASK)]!;
      count += 1;
    }
  }
  singles[into] = count > 0 ? sum / count : Number.NaN;
}
