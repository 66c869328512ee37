/**
 * The engine for any number of series: what happens at one step of one of them. Score the forecasts that were made for it,
 * learn, now and then reconsider the season, make the next forecasts. forecaster.ts brings samples onto a grid of steps.
 */

import { observeAlarm, skipAlarm, startAlarm } from "./alarm.ts";
import { observeCovariates, writeCovariates } from "./covariates.ts";
import { change, historyAt, historyLength, pushHistory, spread } from "./history.ts";
import { learn, predict, seatSeason, skipHorizon, startHorizons } from "./horizon.ts";
import { believableBelow, findPeriods, periodWindow } from "./period.ts";
import {
  HISTORY_STEPS,
  MARK_SCORES,
  MARKS,
  MEDIAN_WINDOWS,
  OFFSET_COUNT,
  PERIOD_MAX_STEPS,
  ROW,
  SLOT,
} from "./plan.ts";
import { observeRls, resetRls } from "./rls.ts";
import {
  adoptSeason,
  dropSeason,
  OFFSETS,
  observeSeason,
  passSeason,
  seasonPeriod,
  seasonsDropped,
} from "./season.ts";
import { seedSeasonScores } from "./season-scores.ts";
import { newestSlot, rowOf } from "./slots.ts";
import { observeSmoothers, slideWindows, writeSmoothers } from "./smoothers.ts";
import { writeWindowQuantiles } from "./sorted-window.ts";
import { CLOCK, clock, type State, setClock } from "./state.ts";

/** A season is dropped when its loss over a cycle is not below this part of that of the last value or a constant. */
const KEEP_BELOW = 0.65;
/** A first season needs one cycle that repeats; after each that had to be dropped, one more, up to this many. */
const PROOF_CYCLES_MAX = 4;
/** Another period takes its place when its loss over the last cycles is below this part of the present one's. */
const REPLACE_BELOW = 0.93;
const REPLACE_CYCLES = 4;
/** Memory of the usual change, and the least it can be, by itself and as a part of the value. */
const NOISE_STEPS = 100;
/** One change counts for at most so many usual ones, once there is a usual one. */
const NOISE_CLIP = 30;
const NOISE_MIN = 1e-9;
const NOISE_PART_MIN = 1e-6;
/** Losses of a season are taken over blocks of so much of its period. */
const BLOCKS_PER_PERIOD = 64;
/** A young series is scanned for periods at each step, an old one every so often. */
const SCAN_ALWAYS_STEPS = 128;
const SCAN_EVERY_MAX = 128;
/** Samples before the raw window says something about quantiles. */
const WINDOW_SAMPLES_MIN = 16;
const SEAT_BELOW = 0.6;
const DECIMALS = [1, 1e2, 1e4, 1e6] as const;

/** Working memory, so that a tick allocates nothing. */
const outcome = { h: 0, value: 0 };
const sample = { value: 0, first: false };
const wanted = { size: 0, levels: [0] as readonly number[], into: 0 };

/** Forgets all there is of a series. */
export function startSeries(state: State, series: number): void {
  const { plan } = state;
  state.numbers.fill(0, series * plan.numbers, (series + 1) * plan.numbers);
  state.singles.fill(0, series * plan.singles, (series + 1) * plan.singles);
  state.history.fill(0, series * HISTORY_STEPS, (series + 1) * HISTORY_STEPS);
  state.profiles.fill(0, series * PERIOD_MAX_STEPS, (series + 1) * PERIOD_MAX_STEPS);
  state.markUnits.fill(0, series * MARKS, (series + 1) * MARKS);
  state.markScores.fill(0, series * MARKS * MARK_SCORES, (series + 1) * MARKS * MARK_SCORES);
  setClock(state, series, CLOCK.lastMs, Number.NaN);
  setClock(state, series, CLOCK.threshold, Number.NaN);
  startAlarm(state, series);
  resetRls(state, series);
  startHorizons(state, series);
}

/** The sample of the next step; covariates that are missing or not finite count as usual. */
export function take(state: State, series: number, value: number, covariates?: readonly number[]): void {
  const { plan } = state;
  outcome.value = value;
  for (outcome.h = 0; outcome.h < plan.horizons.length; outcome.h += 1) learn(state, series, outcome);
  const first = clock(state, series, CLOCK.samples) === 0;
  if (!first) learnNoise(state, series, value);
  advance(state, series, value);
  sample.value = value;
  sample.first = first;
  observeSmoothers(state, series, sample);
  observeSeason(state, series, value);
  observeCovariates(state, series, covariates);
  setClock(state, series, CLOCK.samples, clock(state, series, CLOCK.samples) + 1);
  setClock(state, series, CLOCK.lastValue, value);
  if (!Number.isInteger(value)) setClock(state, series, CLOCK.fractional, 1);
  if (value < 0) setClock(state, series, CLOCK.negative, 1);
  if (clock(state, series, CLOCK.steps) >= clock(state, series, CLOCK.nextScan))
    reconsiderSeason(state, series);
  const row = writeRow(state, series);
  observeRls(state, series, row);
  for (let h = 0; h < plan.horizons.length; h += 1) predict(state, series, h);
  observeAlarm(state, series, value);
}

function advance(state: State, series: number, value: number): void {
  pushHistory(state, series, value);
  setClock(state, series, CLOCK.steps, clock(state, series, CLOCK.steps) + 1);
  slideWindows(state, series, value);
}

/** A step without a sample: the phase moves on, the last value stands in where one is needed, nothing is learnt. */
export function skip(state: State, series: number): void {
  advance(state, series, clock(state, series, CLOCK.lastValue));
  passSeason(state, series);
  for (let h = 0; h < state.plan.horizons.length; h += 1) skipHorizon(state, series, h);
  skipAlarm(state, series);
}

function learnNoise(state: State, series: number, value: number): void {
  const before = clock(state, series, CLOCK.lastValue);
  const steps = Math.min(clock(state, series, CLOCK.samples), NOISE_STEPS);
  const known = clock(state, series, CLOCK.noise);
  const size = Math.abs(value - before);
  // The median of the last samples tells a change that lasts from a wild sample.
  const lasting = Math.abs(state.singles[rowOf(state, series) + ROW.medians]! - before);
  const usual = steps < NOISE_STEPS ? size : Math.min(size, Math.max(NOISE_CLIP * known, lasting));
  const noise = known + (usual - known) / steps;
  setClock(state, series, CLOCK.noise, Math.max(noise, NOISE_MIN, NOISE_PART_MIN * Math.abs(value)));
}

function writeRow(state: State, series: number): number {
  const { plan, singles, numbers } = state;
  const row = rowOf(state, series);
  writeSmoothers(state, series, row);
  const season = series * plan.numbers + plan.at.season + OFFSETS;
  for (let i = 0; i < OFFSET_COUNT; i += 1) singles[row + ROW.offsets + i] = numbers[season + i]!;
  const window = series * plan.singles + plan.in.windows + MEDIAN_WINDOWS[0];
  const size = Math.min(MEDIAN_WINDOWS[1], clock(state, series, CLOCK.steps));
  wanted.size = size;
  wanted.levels = plan.levels;
  wanted.into = row + ROW.windowQuantiles;
  if (size < WINDOW_SAMPLES_MIN) singles.fill(Number.NaN, wanted.into, wanted.into + plan.levels.length);
  else writeWindowQuantiles(singles, window, wanted);
  const repeats =
    clock(state, series, CLOCK.steps) > 1 && historyAt(state, series, 0) === historyAt(state, series, 1);
  singles[row + plan.rowWidth - plan.covariates - 1] = repeats ? 1 : 0;
  writeCovariates(state, series, row);
  return row;
}

function reconsiderSeason(state: State, series: number): void {
  const steps = clock(state, series, CLOCK.steps);
  const every = steps < SCAN_ALWAYS_STEPS ? 1 : Math.min(SCAN_EVERY_MAX, steps >> 4);
  setClock(state, series, CLOCK.nextScan, steps + every);
  const { near, far } = findPeriods(state, series);
  const period = seasonPeriod(state, series);
  if (period === 0) {
    if (!adoptIfProven(state, series, far)) adoptIfProven(state, series, near);
  } else if (!isWorthIt(state, series, { period, cycles: 1, proven: true })) {
    dropSeason(state, series);
  } else if (isBetter(state, series, { candidate: far, present: period })) {
    replaceSeason(state, series, far);
  } else if (isBetter(state, series, { candidate: near, present: period })) {
    replaceSeason(state, series, near);
  }
}

function adoptIfProven(state: State, series: number, period: number): boolean {
  const cycles = Math.min(PROOF_CYCLES_MAX, 1 + seasonsDropped(state, series));
  if (period === 0 || !isWorthIt(state, series, { period, cycles, proven: false })) return false;
  adoptSeason(state, series, period);
  for (let h = 0; h < state.plan.horizons.length; h += 1) {
    seatSeason(state, series, {
      h,
      leads: wouldLead(state, series, { period, steps: state.plan.horizons[h]! }),
    });
  }
  seedSeasonScores(state, series, { corrected: false });
  return true;
}

function replaceSeason(state: State, series: number, period: number): void {
  adoptSeason(state, series, period);
  seedSeasonScores(state, series, { corrected: true });
}

function blockOf(period: number): number {
  return Math.max(1, Math.floor(period / BLOCKS_PER_PERIOD));
}

/** Whether a season of this period would have beaten the last value at this horizon by far, over its last cycle. */
function wouldLead(
  state: State,
  series: number,
  { period, steps }: { period: number; steps: number },
): boolean {
  const length = historyLength(state, series);
  const window = periodWindow(period, length);
  const before = change(state, series, { lag: steps, window: Math.min(window, length - steps) });
  return change(state, series, { lag: period, window }) < SEAT_BELOW * before;
}

/** Whether a season of this period would have beaten a constant, and the last value at the longest horizon. */
function isWorthIt(
  state: State,
  series: number,
  { period, cycles, proven }: { period: number; cycles: number; proven: boolean },
): boolean {
  const block = blockOf(period);
  const length = historyLength(state, series);
  const steps = Math.max(state.plan.horizons.at(-1)!, block);
  const whole = (cycles - 1) * period + periodWindow(period, length - (cycles - 1) * period);
  const window = Math.min(whole, length - steps);
  const others = Math.min(
    change(state, series, { lag: steps, window, block }),
    spread(state, series, { window, block }),
  );
  const below = proven ? KEEP_BELOW : believableBelow(window / block);
  return change(state, series, { lag: period, window, block }) < below * others;
}

function isBetter(
  state: State,
  series: number,
  { candidate, present }: { candidate: number; present: number },
): boolean {
  if (candidate === 0 || candidate === present) return false;
  const longer = Math.max(candidate, present);
  const block = blockOf(Math.min(candidate, present));
  const window = Math.min(historyLength(state, series) - longer, REPLACE_CYCLES * longer);
  const loss = (lag: number) => change(state, series, { lag, window, block });
  return loss(candidate) < REPLACE_BELOW * loss(present);
}

/** The mean forecast of horizon `h`, clipped to what is possible; 0 before the first sample. */
export function meanOf(state: State, series: number, h: number): number {
  if (clock(state, series, CLOCK.samples) === 0) return 0;
  const mean = asMeasured(state.singles[newestSlot(state, series, h) + SLOT.center]!);
  return clock(state, series, CLOCK.negative) === 0 ? Math.max(0, mean) : mean;
}

export function quantileOf(state: State, series: number, { h, q }: { h: number; q: number }): number {
  if (clock(state, series, CLOCK.samples) === 0) return 0;
  return asMeasured(state.singles[newestSlot(state, series, h) + SLOT.quantiles + q]!);
}

/**
 * The decimal number that was rounded to this single: a forecast that repeats a sample of 14.4688 must not lie below it by
 * a ten-millionth.
 */
function asMeasured(single: number): number {
  for (const scale of DECIMALS) {
    const decimal = Math.round(single * scale) / scale;
    if (Math.fround(decimal) === single) return decimal;
  }
  return single;
}
