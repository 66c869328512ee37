/**
 * One horizon of one series: its mixture of experts and its errors. A forecast waits in a slot until its sample comes, then
 * the mixture, the scores and the levels learn from it; nothing looks ahead.
 */

import { isAtom, learnAtoms } from "./atoms.ts";
import { learnCycles, writeCycles } from "./cycles.ts";
import { addScore, resetHistogram } from "./histogram.ts";
import { createPlace, placeOfScale } from "./histogram-places.ts";
import { combine, learnWeights, seat } from "./mixture.ts";
import { CANDIDATES, EXPERT, EXPERTS, OFFSET_COUNT, ROW, SCALES, SEASON_FIRST, SLOT } from "./plan.ts";
import { CANDIDATE_WEIGHTS, learnQuantiles, seatSeasonQuantiles, writeQuantiles } from "./quantiles.ts";
import { forecastRls, learnRls } from "./rls.ts";
import { addOutcome } from "./scores.ts";
import { type Phase, readPhase, seasonPeriod } from "./season.ts";
import { learnSeasonScores, resetSeasonHistograms, writeSeason } from "./season-scores.ts";
import { type Made, rowOf, slotOf, waitOf } from "./slots.ts";
import { smootherExperts } from "./smoothers.ts";
import { CLOCK, clock, type State } from "./state.ts";

/** How fast weights follow losses (a loss of 1 is the usual error of the mixture itself), falling with the horizon. */
const EXPERT_RATE = 0.3;
const EXPERT_EXPONENT = 0.75;
const EXPERT_SHARE = 0.001;
/** The weight of the last value at first: a series that changes once in an hour teaches nothing else in time. */
const LAST_SEAT = 0.6;
/** The weight of a season's experts when the season is found and leads. */
const SEASON_SEAT = 0.95;
/** Memory of the mixture's usual error. */
const LOSS_MEMORY = 0.98;
/** Memories of the fast and the slow usual error; neither takes an error beyond so many times the larger of both. */
const SCALE_RATES = [1 / 30, 1 / 300] as const;
const SCALE_CLIPS = [5, 30] as const;
/** A forecast this near to the last value, in slow usual errors, is the last value. */
const SNAP = 0.042;
/** Errors before scores mean something. */
const ERRORS_MIN = 6;
/** While the scale rests on so few errors, a score beyond this says more about the scale than about the series. */
const YOUNG_ERRORS = 40;
const YOUNG_SCORE_MAX = 3;
const SLOW = 1;
const RATIO_MIN = 1e-9;
const PART_MIN = 1e-6;

const phase: Phase = { middle: 0, low: 0, high: 0, peak: 0, steep: false };
/** Working memory, so that a tick allocates nothing. */
const made: Made = { h: 0, steps: 0, slot: 0, value: 0 };
const expertLosses = new Float64Array(EXPERTS);
const race = { losses: expertLosses, rate: 0, share: EXPERT_SHARE };
const histogram = createPlace();
const place = { h: 0, k: 0, into: histogram };
const inSlot = { h: 0, into: 0 };
const seasonHere = { mixture: 0, slot: 0, noise: 0, phase };
const phaseAhead = { ahead: 0, noise: 0, into: phase };

export function startHorizons(state: State, series: number): void {
  const { plan, numbers, singles } = state;
  const at = series * plan.numbers;
  const count = plan.horizons.length;
  numbers.fill((1 - LAST_SEAT) / (EXPERTS - 1), at + plan.at.mixture, at + plan.at.mixture + EXPERTS * count);
  for (let h = 0; h < count; h += 1) numbers[at + plan.at.mixture + EXPERTS * h + EXPERT.last] = LAST_SEAT;
  for (let one = 0; one < count * plan.levels.length; one += 1)
    numbers.set(CANDIDATE_WEIGHTS, at + plan.at.candidates + CANDIDATES * one);
  for (let h = 0; h < count; h += 1) {
    for (let k = 0; k < SCALES; k += 1) {
      lookAtPlace(state, series, h, k);
      resetHistogram(histogram);
    }
  }
  const first = series * plan.singles;
  singles.fill(Number.NaN, first + plan.in.waits, first + plan.in.waits + plan.waitsWidth);
  singles.fill(Number.NaN, first + plan.in.slots, first + plan.in.slots + plan.slotsWidth);
  resetSeasonHistograms(state, series);
}

function lookAtPlace(state: State, series: number, h: number, k: number): void {
  place.h = h;
  place.k = k;
  placeOfScale(state, series, place);
}

/** Fills `state.experts` with what they said for a forecast. */
function readExperts({ singles, experts }: State, slot: number): void {
  for (let i = 0; i < EXPERTS; i += 1) experts[i] = singles[slot + SLOT.experts + i]!;
}

/** Makes the forecast of horizon `h` from the newest row, and leaves it in its slot. */
export function predict(state: State, series: number, h: number): void {
  const { plan, numbers, singles, experts } = state;
  const row = rowOf(state, series);
  made.h = h;
  made.steps = clock(state, series, CLOCK.steps);
  const slot = slotOf(state, series, made);
  made.slot = slot;
  singles[slot + SLOT.repeats] = singles[row + plan.rowWidth - plan.covariates - 1]!;
  for (let q = 0; q < plan.levels.length; q += 1)
    singles[slot + plan.slotWindow + q] = singles[row + ROW.windowQuantiles + q]!;
  const seasonal = writeExperts(state, series, row);
  readExperts(state, slot);
  const mixture = series * plan.numbers + plan.at.mixture + h * EXPERTS;
  const scales = series * plan.numbers + plan.at.scales + SCALES * h;
  const last = singles[row + ROW.last]!;
  combine(numbers, mixture, experts);
  const mixed = experts[EXPERTS]!;
  const repeats = singles[slot + SLOT.repeats] === 1 && isAtom(state, series, made, 0.5);
  const center = repeats || Math.abs(mixed - last) <= SNAP * numbers[scales + SLOW]! ? last : mixed;
  singles[slot + SLOT.center] = center;
  const least = Math.max(RATIO_MIN, PART_MIN * Math.abs(center));
  for (let k = 0; k < SCALES; k += 1) singles[slot + SLOT.scales + k] = Math.max(least, numbers[scales + k]!);
  const wait = waitOf(state, series, made);
  singles[wait] = singles[slot + SLOT.center]!;
  singles[wait + 1] = singles[slot + SLOT.scales]!;
  if (seasonal) {
    seasonHere.mixture = mixture;
    seasonHere.slot = slot;
    seasonHere.noise = phaseAhead.noise;
    writeSeason(state, seasonHere);
  } else singles[slot + SLOT.seasonCenter] = Number.NaN;
  writeQuantiles(state, series, made);
}

/** Writes what the experts say to the slot of `made`; whether a season is among them. */
function writeExperts(state: State, series: number, row: number): boolean {
  const { plan, singles } = state;
  const { h, slot } = made;
  const experts = slot + SLOT.experts;
  inSlot.h = h;
  inSlot.into = experts;
  smootherExperts(state, row, inSlot);
  forecastRls(state, series, made);
  const seasonal = seasonPeriod(state, series) > 0;
  if (seasonal) {
    phaseAhead.ahead = plan.horizons[h]!;
    phaseAhead.noise = clock(state, series, CLOCK.noise);
    readPhase(state, series, phaseAhead);
  }
  for (let i = 0; i < OFFSET_COUNT; i += 1)
    singles[experts + SEASON_FIRST + i] = seasonal
      ? phase.middle + singles[row + ROW.offsets + i]!
      : Number.NaN;
  writeCycles(state, series, made);
  return seasonal;
}

/**
 * Learns from the forecast that was made for the sample `value`, which is about to be the next step: its error, and, of
 * one forecast in a stride, all that it said.
 */
export function learn(state: State, series: number, { h, value }: { h: number; value: number }): void {
  const { plan, singles } = state;
  const steps = clock(state, series, CLOCK.steps) + 1 - plan.horizons[h]!;
  if (steps < 1) return;
  made.h = h;
  made.steps = steps;
  made.value = value;
  const wait = waitOf(state, series, made);
  if (Number.isNaN(singles[wait]!)) return;
  learnError(state, series, wait);
  if (steps % plan.strides[h]! !== 0) return;
  made.slot = slotOf(state, series, made);
  addOutcome(state, series, made);
  learnQuantiles(state, series, made);
  if (singles[made.slot + SLOT.repeats] === 1) learnAtoms(state, series, made);
  learnSeasonScores(state, series, made);
  learnMixture(state, series);
  learnRls(state, series, made);
  learnCycles(state, series, made);
}

/** The forecast in hand waited at `wait`. */
function learnError(state: State, series: number, wait: number): void {
  const { plan, numbers, singles } = state;
  const { h, value } = made;
  const center = singles[wait]!;
  const error = Math.fround(value) - center;
  const scales = series * plan.numbers + plan.at.scales + SCALES * h;
  const errors = clock(state, series, CLOCK.samples) - plan.horizons[h]! + 1;
  if (errors > ERRORS_MIN) {
    const most = errors < YOUNG_ERRORS ? YOUNG_SCORE_MAX : Number.POSITIVE_INFINITY;
    const slow = Math.max(RATIO_MIN, PART_MIN * Math.abs(center), numbers[scales + SLOW]!);
    for (let k = 0; k < SCALES; k += 1) {
      lookAtPlace(state, series, h, k);
      addScore(histogram, clip(error / (k === SLOW ? slow : singles[wait + 1]!), most));
    }
  }
  const size = Math.abs(error);
  const usual = Math.max(numbers[scales]!, numbers[scales + 1]!);
  // A wild sample does not move the median of the last ones, a change that lasts does: then its errors are no exception.
  const lasting = Math.abs(singles[rowOf(state, series) + ROW.medians]! - center);
  for (let k = 0; k < SCALES; k += 1) {
    const rate = Math.max(SCALE_RATES[k]!, 1 / Math.max(1, errors));
    const known = numbers[scales + k]!;
    const taken = known > 0 ? Math.min(size, Math.max(SCALE_CLIPS[k]! * usual, lasting)) : size;
    numbers[scales + k] = known + rate * (taken - known);
  }
}

function learnMixture(state: State, series: number): void {
  const { plan, numbers, singles } = state;
  const { h, slot, value } = made;
  const scaleAt = series * plan.numbers + plan.at.lossScale + h;
  const error = Math.abs(value - singles[slot + SLOT.center]!);
  const known = numbers[scaleAt]!;
  numbers[scaleAt] = known === 0 ? error : LOSS_MEMORY * known + (1 - LOSS_MEMORY) * error;
  if (!(numbers[scaleAt]! > 0)) return;
  const unit = 1 / numbers[scaleAt]!;
  for (let i = 0; i < EXPERTS; i += 1)
    expertLosses[i] = unit * Math.abs(value - singles[slot + SLOT.experts + i]!);
  race.rate = (EXPERT_RATE * plan.strides[h]!) / plan.horizons[h]! ** EXPERT_EXPONENT;
  learnWeights(numbers, series * plan.numbers + plan.at.mixture + h * EXPERTS, race);
}

/** A step without a sample: no forecast was made from it. */
export function skipHorizon(state: State, series: number, h: number): void {
  const { singles, plan } = state;
  made.h = h;
  made.steps = clock(state, series, CLOCK.steps);
  const slot = slotOf(state, series, made);
  singles.fill(Number.NaN, slot, slot + plan.slotWidth);
  singles[waitOf(state, series, made)] = Number.NaN;
}

/** A season was found: its quantiles lead at once, its forecasts where they would have been better by far. */
export function seatSeason(state: State, series: number, { h, leads }: { h: number; leads: boolean }): void {
  const { plan, numbers } = state;
  if (leads) {
    const mixture = series * plan.numbers + plan.at.mixture + h * EXPERTS;
    seat(numbers, mixture, { count: EXPERTS, first: SEASON_FIRST, share: SEASON_SEAT });
  }
  seatSeasonQuantiles(state, series, { h, leads });
}

function clip(value: number, most: number): number {
  return value > most ? most : Math.max(value, -most);
}
