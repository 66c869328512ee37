/**
 * One horizon of one series: its mixture of experts and its errors. A forecast waits in a slot until its sample comes, then
 * the mixture, the scores and the levels learn from it; nothing looks ahead.
 */

import { isAtom, learnAtoms } from "./atoms.ts";
import { addScore, resetHistogram } from "./histogram.ts";
import { combine, learnWeights, seat } from "./mixture.ts";
import { BINS, CANDIDATES, EXPERTS, OFFSET_COUNT, ROW, SCALES, SEASON_FIRST, SLOT } from "./plan.ts";
import { CANDIDATE_WEIGHTS, learnQuantiles, seatSeasonQuantiles, writeQuantiles } from "./quantiles.ts";
import { forecastRls, learnRls } from "./rls.ts";
import { addOutcome } from "./scores.ts";
import { type Phase, readPhase, seasonPeriod } from "./season.ts";
import { learnSeasonScores, resetSeasonHistograms, writeSeason } from "./season-scores.ts";
import { newestRow, rowOf, slotOf } from "./slots.ts";
import { smootherExperts } from "./smoothers.ts";
import { CLOCK, clock, type State } from "./state.ts";

/** How fast weights follow losses (a loss of 1 is the usual error of the mixture itself), falling with the horizon. */
const EXPERT_RATE = 0.3;
const EXPERT_EXPONENT = 0.75;
const EXPERT_SHARE = 0.001;
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
/** Working memory, so that a tick allocates little. */
const expertLosses = new Float64Array(EXPERTS);
const race = { losses: expertLosses, rate: 0, share: EXPERT_SHARE };

export function startHorizons(state: State, series: number): void {
  const { plan, numbers, singles } = state;
  const at = series * plan.numbers;
  const count = plan.horizons.length;
  numbers.fill(1 / EXPERTS, at + plan.at.mixture, at + plan.at.mixture + EXPERTS * count);
  for (let place = 0; place < count * plan.levels.length; place += 1) {
    numbers.set(CANDIDATE_WEIGHTS, at + plan.at.candidates + CANDIDATES * place);
  }
  for (let k = 0; k < SCALES * count; k += 1) {
    numbers[at + plan.at.histogramWeights + 2 * k] = 1;
    numbers[at + plan.at.histogramWeights + 2 * k + 1] = resetHistogram(
      singles,
      series * plan.singles + plan.in.histograms + k * BINS,
    );
  }
  const slots = series * plan.singles + plan.in.slots;
  singles.fill(Number.NaN, slots, slots + plan.horizons.reduce((sum, one) => sum + one, 0) * plan.slotWidth);
  resetSeasonHistograms(state, series);
}

/** Fills `state.experts` with what row and slot say for horizon `h`. */
function readExperts(state: State, { h, row, slot }: { h: number; row: number; slot: number }): void {
  const { singles, experts, plan } = state;
  const next = smootherExperts(singles, row, { steps: plan.horizons[h]!, into: experts });
  experts[next] = singles[slot + SLOT.rls]!;
  const middle = singles[slot + SLOT.middle]!;
  for (let i = 0; i < OFFSET_COUNT; i += 1)
    experts[SEASON_FIRST + i] = middle + singles[row + ROW.offsets + i]!;
}

/** Makes the forecast of horizon `h` from the newest row, and leaves its quantiles in the slot. */
export function predict(state: State, series: number, h: number): void {
  const { plan, numbers, singles, experts } = state;
  const steps = clock(state, series, CLOCK.steps);
  const row = rowOf(state, series, steps);
  const slot = slotOf(state, series, { h, steps });
  singles[slot + SLOT.rls] = forecastRls(state, series, { h, row });
  const seasonal = seasonPeriod(state, series) > 0;
  const noise = clock(state, series, CLOCK.noise);
  if (seasonal) readPhase(state, series, { ahead: plan.horizons[h]!, noise, into: phase });
  singles[slot + SLOT.middle] = seasonal ? phase.middle : Number.NaN;
  readExperts(state, { h, row, slot });
  const mixture = series * plan.numbers + plan.at.mixture + h * EXPERTS;
  const scales = series * plan.numbers + plan.at.scales + SCALES * h;
  const last = singles[row + ROW.last]!;
  const mixed = combine(numbers, mixture, experts);
  const repeats = isAtom(state, series, { h, row, level: 0.5 });
  const center = repeats || Math.abs(mixed - last) <= SNAP * numbers[scales + SLOW]! ? last : mixed;
  singles[slot + SLOT.center] = center;
  const least = Math.max(RATIO_MIN, PART_MIN * Math.abs(center));
  for (let k = 0; k < SCALES; k += 1) singles[slot + SLOT.scales + k] = Math.max(least, numbers[scales + k]!);
  if (seasonal) writeSeason(state, { mixture, slot, noise, phase });
  else singles[slot + SLOT.seasonCenter] = Number.NaN;
  writeQuantiles(state, series, { h, row, slot });
}

/** Learns from the forecast that was made for the sample `value`, which is about to be step `steps`; false when none was. */
export function learn(state: State, series: number, { h, value }: { h: number; value: number }): boolean {
  const { plan, singles } = state;
  const made = clock(state, series, CLOCK.steps) + 1 - plan.horizons[h]!;
  if (made < 1) return false;
  const slot = slotOf(state, series, { h, steps: made });
  const center = singles[slot + SLOT.center]!;
  if (Number.isNaN(center)) return false;
  const row = rowOf(state, series, made);
  addOutcome(state, series, {
    truth: value,
    last: singles[row + ROW.last]!,
    mean: center,
    quantiles: slot + SLOT.quantiles,
  });
  learnQuantiles(state, series, { h, row, slot }, value);
  if (singles[row + plan.rowWidth - plan.covariates - 1] === 1)
    learnAtoms(state, series, { h, last: singles[row + ROW.last]!, value: Math.fround(value) });
  learnScores(state, series, { h, slot, value });
  learnMixture(state, series, { h, row, slot, value });
  learnRls(state, series, { h, row, value, forecast: singles[slot + SLOT.rls]! });
  return true;
}

function learnScores(
  state: State,
  series: number,
  { h, slot, value }: { h: number; slot: number; value: number },
): void {
  const { plan, numbers, singles } = state;
  const base = series * plan.numbers;
  const error = Math.fround(value) - singles[slot + SLOT.center]!;
  const scales = base + plan.at.scales + SCALES * h;
  const errors = clock(state, series, CLOCK.samples) - plan.horizons[h]! + 1;
  for (let k = 0; k < SCALES && errors > ERRORS_MIN; k += 1) {
    const histogram = SCALES * h + k;
    addScore(
      singles,
      series * plan.singles + plan.in.histograms + histogram * BINS,
      clip(
        error / singles[slot + SLOT.scales + k]!,
        errors < YOUNG_ERRORS ? YOUNG_SCORE_MAX : Number.POSITIVE_INFINITY,
      ),
      numbers,
      base + plan.at.histogramWeights + 2 * histogram,
    );
  }
  const size = Math.abs(error);
  const usual = Math.max(numbers[scales]!, numbers[scales + 1]!);
  // A wild sample does not move the median of the last ones, a change that lasts does: then its errors are no exception.
  const lasting = Math.abs(singles[newestRow(state, series) + ROW.medians]! - singles[slot + SLOT.center]!);
  for (let k = 0; k < SCALES; k += 1) {
    const rate = Math.max(SCALE_RATES[k]!, 1 / Math.max(1, errors));
    const known = numbers[scales + k]!;
    numbers[scales + k] =
      known +
      rate * ((known > 0 ? Math.min(size, Math.max(SCALE_CLIPS[k]! * usual, lasting)) : size) - known);
  }
  learnSeasonScores(state, series, { h, slot, value: Math.fround(value) });
}

function learnMixture(
  state: State,
  series: number,
  { h, row, slot, value }: { h: number; row: number; slot: number; value: number },
): void {
  const { plan, numbers, singles, experts } = state;
  const scaleAt = series * plan.numbers + plan.at.lossScale + h;
  const error = Math.abs(value - singles[slot + SLOT.center]!);
  const known = numbers[scaleAt]!;
  numbers[scaleAt] = known === 0 ? error : LOSS_MEMORY * known + (1 - LOSS_MEMORY) * error;
  if (!(numbers[scaleAt]! > 0)) return;
  readExperts(state, { h, row, slot });
  const unit = 1 / numbers[scaleAt]!;
  for (let i = 0; i < EXPERTS; i += 1) expertLosses[i] = unit * Math.abs(value - experts[i]!);
  race.rate = EXPERT_RATE / plan.horizons[h]! ** EXPERT_EXPONENT;
  learnWeights(numbers, series * plan.numbers + plan.at.mixture + h * EXPERTS, race);
}

/** A step without a sample: no forecast was made from it. */
export function skipHorizon(state: State, series: number, h: number): void {
  const slot = slotOf(state, series, { h, steps: clock(state, series, CLOCK.steps) });
  state.singles.fill(Number.NaN, slot, slot + state.plan.slotWidth);
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
