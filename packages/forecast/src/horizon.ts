/**
 * One horizon of one series: its mixture of experts, its errors and its quantiles. A forecast waits in a slot until its
 * sample comes, then the mixture, the scores and the levels learn from it; nothing looks ahead.
 */

import { addScore, resetHistogram, scoreAt } from "./histogram.ts";
import { historyAt, historyLength } from "./history.ts";
import { combine, learnWeights, seat } from "./mixture.ts";
import { periodWindow } from "./period.ts";
import {
  BINS,
  CANDIDATES,
  EXPERTS,
  HIGH,
  LOW,
  MIDDLE,
  OFFSET_COUNT,
  ROW,
  SCALES,
  SEASON_FIRST,
  SLOT,
} from "./plan.ts";
import { forecastRls, learnRls } from "./rls.ts";
import { addOutcome, pinballLoss } from "./scores.ts";
import { isSteep, type Phase, readPhase, SMOOTH_STEPS, seasonPeriod } from "./season.ts";
import { smootherExperts } from "./smoothers.ts";
import { CLOCK, clock, type State } from "./state.ts";

export const TUNING = {
  /** How fast weights follow losses; a loss of 1 is the usual error of the mixture itself. */
  expertRate: 0.3,
  expertShare: 0.001,
  /** 0: the loss of an expert; 1: that of a step towards it (gradient). */
  gradient: 0,
  candidateRate: 0.15,
  candidateShare: 0.002,
  scaleMemory: 0.98,
  scaleRates: [1 / 30, 1 / 300],
  scaleClip: 5,
  adaptation: 0.002,
  adaptationMax: 3,
  seasonSeat: 0.95,
  candidateSeat: 0.995,
  seatBelow: 0.6,
  rateExponent: 0.75,
  candidateExponent: 0.5,
  adaptExponent: 1,
  shift: 0.02,
  shiftExponent: 1,
  snap: 0.042,
  atomRate: 1 / 200,
  errorsMin: 6,
};

const FAST = 0;
const SLOW = 1;
const WINDOW = 2;
const SEASON = 3;
/** What they weigh at first: the raw window is seldom right where a series remembers its last value. */
const CANDIDATE_WEIGHTS = [0.45, 0.45, 0.02, 0.08];
/** A season's scores are seeded from its last cycle; beside them little is assumed. */
const SEASON_PRIOR_SCORES = 0.1;
/** So many scores of flat parts must there be before they are worth keeping when a period is corrected. */
const FLAT_MIN = 8;
/** Where the profile is steep, errors are measured in this part of its range there. */
const STEEP_UNIT = 1 / 6;
/** While the scale rests on so few errors, a score beyond this says more about the scale than about the series. */
const YOUNG_ERRORS = 40;
const YOUNG_SCORE_MAX = 3;
const RATIO_MIN = 1e-9;
const PART_MIN = 1e-6;

const phase: Phase = { middle: 0, low: 0, high: 0, peak: 0, steep: false };
const candidates = new Float64Array(CANDIDATES);
const losses = new Float64Array(CANDIDATES);
const expertLosses = new Float64Array(EXPERTS);

function slotOf({ plan }: State, series: number, { h, steps }: { h: number; steps: number }): number {
  return (
    series * plan.singles +
    plan.in.slots +
    (plan.firstSlot[h]! + (steps % plan.horizons[h]!)) * plan.slotWidth
  );
}

function rowOf({ plan }: State, series: number, steps: number): number {
  return series * plan.singles + plan.in.rows + (steps % plan.rows) * plan.rowWidth;
}

/** Which of the season's curves a level starts from. */
function baseOf(level: number): number {
  return level > 0.5 ? HIGH : level < 0.5 ? LOW : MIDDLE;
}

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

/** Groups from `first` on: 0 flat, 1 steep. */
function resetSeasonHistograms(state: State, series: number, first = 0): void {
  const { plan, numbers, singles } = state;
  for (let k = 3 * first; k < 6; k += 1) {
    const weights = series * plan.numbers + plan.at.seasonZs + 2 * plan.levels.length + 2 * k;
    numbers[weights] = 1;
    numbers[weights + 1] = resetHistogram(
      singles,
      series * plan.singles + plan.in.seasonHistograms + k * BINS,
      SEASON_PRIOR_SCORES,
    );
  }
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
  const center = repeats || Math.abs(mixed - last) <= TUNING.snap * numbers[scales + SLOW]! ? last : mixed;
  singles[slot + SLOT.center] = center;
  const least = Math.max(RATIO_MIN, PART_MIN * Math.abs(center));
  for (let k = 0; k < SCALES; k += 1) singles[slot + SLOT.scales + k] = Math.max(least, numbers[scales + k]!);
  if (seasonal) writeSeason(state, { mixture, slot, noise });
  else singles[slot + SLOT.seasonCenter] = Number.NaN;
  writeQuantiles(state, series, { h, row, slot });
}

/** Whether the last value itself is that quantile: more than half of the samples repeat it, and so many lie below. */
function isAtom(
  { numbers, singles, plan }: State,
  series: number,
  { h, row, level }: { h: number; row: number; level: number },
): boolean {
  const repeats = singles[row + plan.rowWidth - plan.covariates - 1] === 1;
  const at = series * plan.numbers + plan.at.atoms + 2 * h;
  const [below, equal] = [numbers[at]!, numbers[at + 1]!];
  return repeats && equal > 0.5 && below < level && level < below + equal;
}

function learnAtoms(
  state: State,
  series: number,
  { h, last, value }: { h: number; last: number; value: number },
): void {
  const { numbers, plan } = state;
  const at = series * plan.numbers + plan.at.atoms + 2 * h;
  const rate = Math.max(TUNING.atomRate, 1 / clock(state, series, CLOCK.samples));
  numbers[at] = numbers[at]! + rate * ((value < last ? 1 : 0) - numbers[at]!);
  numbers[at + 1] = numbers[at + 1]! + rate * ((value === last ? 1 : 0) - numbers[at + 1]!);
}

function writeSeason(
  state: State,
  { mixture, slot, noise }: { mixture: number; slot: number; noise: number },
): void {
  const { numbers, singles, experts } = state;
  let total = 0;
  let sum = 0;
  for (let i = SEASON_FIRST; i < EXPERTS; i += 1) {
    total += numbers[mixture + i]!;
    sum += numbers[mixture + i]! * experts[i]!;
  }
  singles[slot + SLOT.seasonCenter] = sum / total;
  singles[slot + SLOT.up] = phase.high - phase.middle;
  singles[slot + SLOT.down] = phase.middle - phase.low;
  singles[slot + SLOT.peak] = phase.peak - phase.middle;
  singles[slot + SLOT.unit] = phase.steep ? -Math.max(noise, (phase.high - phase.low) * STEEP_UNIT) : noise;
}

function writeQuantiles(
  state: State,
  series: number,
  { h, row, slot }: { h: number; row: number; slot: number },
): void {
  const { plan, numbers, singles } = state;
  const wide = plan.levels.length;
  let least = clock(state, series, CLOCK.negative) === 0 ? 0 : Number.NEGATIVE_INFINITY;
  const whole = clock(state, series, CLOCK.fractional) === 0;
  for (let q = 0; q < wide; q += 1) {
    const place = h * wide + q;
    const level = adaptedLevel(state, series, place, plan.levels[q]!);
    cacheScores(state, series, { h, q, level });
    readCandidates(state, series, { h, q, row, slot });
    const mixed = combine(
      numbers,
      series * plan.numbers + plan.at.candidates + CANDIDATES * place,
      candidates,
    );
    const value =
      mixed + numbers[series * plan.numbers + plan.at.shifts + place]! * singles[slot + SLOT.scales + SLOW]!;
    const whole1 = whole ? Math.round(value) : value;
    least = Math.max(
      least,
      isAtom(state, series, { h, row, level: plan.levels[q]! }) ? singles[row + ROW.last]! : whole1,
    );
    singles[slot + SLOT.quantiles + q] = least;
  }
}

/** The level to ask for so that the stated share is covered (Gibbs & Candes, 2021), moved in log odds so that it stays one. */
function adaptedLevel({ numbers, plan }: State, series: number, place: number, level: number): number {
  const moved = numbers[series * plan.numbers + plan.at.adaptation + place]!;
  if (moved === 0) return level;
  const odds = (level / (1 - level)) * Math.exp(moved);
  return odds / (1 + odds);
}

/** Keeps the scores at the adapted levels: they are needed again when the forecast is judged. */
function cacheScores(
  state: State,
  series: number,
  { h, q, level }: { h: number; q: number; level: number },
): void {
  const { plan, numbers, singles } = state;
  const base = series * plan.numbers;
  const wide = plan.levels.length;
  for (let k = 0; k < SCALES; k += 1) {
    const histogram = SCALES * h + k;
    numbers[base + plan.at.zs + histogram * wide + q] = scoreAt(
      singles,
      series * plan.singles + plan.in.histograms + histogram * BINS,
      level,
      numbers[base + plan.at.histogramWeights + 2 * histogram + 1]!,
    );
  }
  if (h > 0 || seasonPeriod(state, series) === 0) return;
  for (let group = 0; group < 2; group += 1) {
    const histogram = 3 * group + baseOf(plan.levels[q]!);
    numbers[base + plan.at.seasonZs + 2 * q + group] = scoreAt(
      singles,
      series * plan.singles + plan.in.seasonHistograms + histogram * BINS,
      plan.levels[q]!,
      numbers[base + plan.at.seasonZs + 2 * wide + 2 * histogram + 1]!,
    );
  }
}

/** What each candidate says for quantile `q`; NaN for one that has nothing to say. */
function readCandidates(
  state: State,
  series: number,
  { h, q, row, slot }: { h: number; q: number; row: number; slot: number },
): void {
  const { plan, numbers, singles } = state;
  const base = series * plan.numbers;
  const wide = plan.levels.length;
  const center = singles[slot + SLOT.center]!;
  const zs = base + plan.at.zs + SCALES * h * wide + q;
  candidates[FAST] = center + singles[slot + SLOT.scales]! * numbers[zs]!;
  candidates[SLOW] = center + singles[slot + SLOT.scales + 1]! * numbers[zs + wide]!;
  candidates[WINDOW] = singles[row + ROW.windowQuantiles + q]!;
  const seasonal = singles[slot + SLOT.seasonCenter]!;
  if (Number.isNaN(seasonal)) {
    candidates[SEASON] = Number.NaN;
    return;
  }
  const unit = singles[slot + SLOT.unit]!;
  const kind = baseOf(plan.levels[q]!);
  const shift = kind === HIGH ? singles[slot + SLOT.up]! : kind === LOW ? -singles[slot + SLOT.down]! : 0;
  const flat = numbers[base + plan.at.seasonZs + 2 * q]!;
  const noise = clock(state, series, CLOCK.noise);
  if (unit > 0) {
    candidates[SEASON] = seasonal + shift + unit * flat;
    return;
  }
  const steep = seasonal + shift - unit * numbers[base + plan.at.seasonZs + 2 * q + 1]!;
  // Where the season is steep its errors are mostly of time, and those end at the peak: above it lies only what is also
  // off where the season is flat. Without this a burst's plateau would get the margin of its edges on top.
  const most = seasonal + Math.max(singles[slot + SLOT.peak]!, shift) + noise * flat;
  candidates[SEASON] = kind === HIGH ? Math.min(steep, most) : steep;
}

/** Density of the standard normal at its own quantile: the usual pinball loss there, in deviations. */
const usualLoss = new Map<number, number>();

function lossUnit(level: number): number {
  const known = usualLoss.get(level);
  if (known !== undefined) return known;
  const z = normalQuantile(level);
  const unit = (1.2533 * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
  usualLoss.set(level, unit);
  return unit;
}

/** Acklam's would be exact to nine digits; this (Tukey's lambda) to two, and enough for a unit. */
function normalQuantile(level: number): number {
  return 4.91 * (level ** 0.14 - (1 - level) ** 0.14);
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
    quantile: singles[slot + SLOT.quantiles + plan.scoredLevel]!,
  });
  learnQuantiles(state, series, { h, row, slot, value });
  if (singles[row + plan.rowWidth - plan.covariates - 1] === 1)
    learnAtoms(state, series, { h, last: singles[row + ROW.last]!, value: Math.fround(value) });
  learnScores(state, series, { h, slot, value });
  learnMixture(state, series, { h, row, slot, value });
  learnRls(state, series, { h, row, value, forecast: singles[slot + SLOT.rls]! });
  return true;
}

function learnQuantiles(
  state: State,
  series: number,
  { h, row, slot, value }: { h: number; row: number; slot: number; value: number },
): void {
  const { plan, numbers, singles } = state;
  const wide = plan.levels.length;
  const single = Math.fround(value);
  for (let q = 0; q < wide; q += 1) {
    const level = plan.levels[q]!;
    const quantile = singles[slot + SLOT.quantiles + q]!;
    const place = h * wide + q;
    if (single !== quantile) adapt(state, series, { h, place, level, covered: single < quantile });
    readCandidates(state, series, { h, q, row, slot });
    const unit = 1 / (lossUnit(level) * singles[slot + SLOT.scales + SLOW]!);
    for (let k = 0; k < CANDIDATES; k += 1) losses[k] = unit * pinballLoss(single, candidates[k]!, level);
    learnWeights(numbers, series * plan.numbers + plan.at.candidates + CANDIDATES * place, {
      losses,
      rate: TUNING.candidateRate / plan.horizons[h]! ** TUNING.candidateExponent,
      share: TUNING.candidateShare,
    });
  }
}

function adapt(
  { numbers, plan }: State,
  series: number,
  { h, place, level, covered }: { h: number; place: number; level: number; covered: boolean },
): void {
  const at = series * plan.numbers + plan.at.adaptation + place;
  const shiftAt = series * plan.numbers + plan.at.shifts + place;
  if (level !== 0.5)
    numbers[shiftAt] =
      numbers[shiftAt]! +
      (TUNING.shift / plan.horizons[h]! ** TUNING.shiftExponent) * (covered ? level - 1 : level);
  const moved =
    numbers[at]! +
    ((TUNING.adaptation / plan.horizons[h]! ** TUNING.adaptExponent) * (covered ? level - 1 : level)) /
      (level * (1 - level));
  numbers[at] = Math.min(TUNING.adaptationMax, Math.max(-TUNING.adaptationMax, moved));
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
  for (let k = 0; k < SCALES && errors > TUNING.errorsMin; k += 1) {
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
  const clipped = Math.min(size, TUNING.scaleClip * Math.max(numbers[scales]!, numbers[scales + 1]!));
  for (let k = 0; k < SCALES; k += 1) {
    const rate = Math.max(TUNING.scaleRates[k]!, 1 / Math.max(1, errors));
    const known = numbers[scales + k]!;
    numbers[scales + k] = known + rate * ((k === FAST && known > 0 ? clipped : size) - known);
  }
  learnSeasonScores(state, series, { h, slot, value: Math.fround(value) });
}

/** The season's errors do not depend on how far ahead they are made: those of the first horizon serve all. */
function learnSeasonScores(
  state: State,
  series: number,
  { h, slot, value }: { h: number; slot: number; value: number },
): void {
  const { singles } = state;
  const seasonal = singles[slot + SLOT.seasonCenter]!;
  if (h > 0 || Number.isNaN(seasonal) || seasonPeriod(state, series) === 0) return;
  const unit = singles[slot + SLOT.unit]!;
  for (let kind = LOW; kind <= HIGH; kind += 1) {
    const shift = kind === HIGH ? singles[slot + SLOT.up]! : kind === LOW ? -singles[slot + SLOT.down]! : 0;
    addSeasonScore(state, series, { kind, steep: unit < 0, z: (value - seasonal - shift) / Math.abs(unit) });
  }
}

function addSeasonScore(
  { plan, numbers, singles }: State,
  series: number,
  { kind, steep, z }: { kind: number; steep: boolean; z: number },
): void {
  const histogram = 3 * (steep ? 1 : 0) + kind;
  addScore(
    singles,
    series * plan.singles + plan.in.seasonHistograms + histogram * BINS,
    z,
    numbers,
    series * plan.numbers + plan.at.seasonZs + 2 * plan.levels.length + 2 * histogram,
  );
}

function learnMixture(
  state: State,
  series: number,
  { h, row, slot, value }: { h: number; row: number; slot: number; value: number },
): void {
  const { plan, numbers, singles, experts } = state;
  const scaleAt = series * plan.numbers + plan.at.lossScale + h;
  const center = singles[slot + SLOT.center]!;
  const error = Math.abs(value - center);
  const known = numbers[scaleAt]!;
  numbers[scaleAt] = known === 0 ? error : TUNING.scaleMemory * known + (1 - TUNING.scaleMemory) * error;
  if (!(numbers[scaleAt]! > 0)) return;
  readExperts(state, { h, row, slot });
  const unit = 1 / numbers[scaleAt]!;
  const side = value > center ? -1 : 1;
  for (let i = 0; i < EXPERTS; i += 1) {
    expertLosses[i] = TUNING.gradient
      ? Math.max(-8, unit * side * (experts[i]! - center))
      : unit * Math.abs(value - experts[i]!);
  }
  learnWeights(numbers, series * plan.numbers + plan.at.mixture + h * EXPERTS, {
    losses: expertLosses,
    rate: TUNING.expertRate / plan.horizons[h]! ** TUNING.rateExponent,
    share: TUNING.expertShare,
  });
}

/** A step without a sample: no forecast was made from it. */
export function skipHorizon(state: State, series: number, h: number): void {
  const slot = slotOf(state, series, { h, steps: clock(state, series, CLOCK.steps) });
  state.singles.fill(Number.NaN, slot, slot + state.plan.slotWidth);
}

/** A season was found: its quantiles lead at once, its forecasts where they would have been better by far. */
export function seatSeason(state: State, series: number, { h, leads }: { h: number; leads: boolean }): void {
  const { plan, numbers } = state;
  const share = TUNING.seasonSeat;
  if (leads) {
    const mixture = series * plan.numbers + plan.at.mixture + h * EXPERTS;
    seat(numbers, mixture, { count: EXPERTS, first: SEASON_FIRST, share });
  }
  for (let q = 0; q < plan.levels.length; q += 1) {
    if (plan.levels[q] === 0.5 && !leads) continue;
    const place = series * plan.numbers + plan.at.candidates + CANDIDATES * (h * plan.levels.length + q);
    seat(numbers, place, { count: CANDIDATES, first: SEASON, share: TUNING.candidateSeat });
  }
}

/**
 * Takes the errors that a season would have made over its last cycle for those it will make. A period that is only
 * corrected changes nothing about the flat parts: their errors are kept.
 */
export function seedSeasonScores(state: State, series: number, { corrected }: { corrected: boolean }): void {
  const { plan, numbers } = state;
  const flatTotal =
    numbers[series * plan.numbers + plan.at.seasonZs + 2 * plan.levels.length + 2 * MIDDLE + 1]!;
  const first = corrected && flatTotal >= FLAT_MIN ? 1 : 0;
  const period = seasonPeriod(state, series);
  const noise = clock(state, series, CLOCK.noise);
  resetSeasonHistograms(state, series, first);
  const length = historyLength(state, series);
  for (let ago = periodWindow(period, length) - 1; ago >= 0; ago -= 1) {
    const wide = extremesAgo(state, series, { ago: ago + period, reach: 2 });
    const steep = isSteep(wide.high - wide.low, noise);
    if (!steep && first > 0) continue;
    const value = historyAt(state, series, ago);
    const unit = steep ? Math.max(noise, (wide.high - wide.low) * STEEP_UNIT) : noise;
    const near = extremesAgo(state, series, { ago: ago + period, reach: 1 });
    const middle = steep ? historyAt(state, series, ago + period) : meanAgo(state, series, ago + period);
    addSeasonScore(state, series, { kind: LOW, steep, z: (value - (steep ? near.low : middle)) / unit });
    addSeasonScore(state, series, { kind: MIDDLE, steep, z: (value - middle) / unit });
    addSeasonScore(state, series, { kind: HIGH, steep, z: (value - (steep ? near.high : middle)) / unit });
  }
}

/** Where the profile is flat it is averaged over neighbours, and so is what stands for it. */
function meanAgo(state: State, series: number, ago: number): number {
  const from = Math.max(0, ago - SMOOTH_STEPS);
  const to = Math.min(historyLength(state, series) - 1, ago + SMOOTH_STEPS);
  let sum = 0;
  for (let near = from; near <= to; near += 1) sum += historyAt(state, series, near);
  return sum / (to - from + 1);
}

function extremesAgo(
  state: State,
  series: number,
  { ago, reach }: { ago: number; reach: number },
): { low: number; high: number } {
  let low = historyAt(state, series, ago);
  let high = low;
  const last = historyLength(state, series) - 1;
  for (let near = Math.max(0, ago - reach); near <= Math.min(last, ago + reach); near += 1) {
    const value = historyAt(state, series, near);
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return { low, high };
}

/** Index in `singles` of the newest forecast of horizon `h`. */
export function newestSlot(state: State, series: number, h: number): number {
  return slotOf(state, series, { h, steps: clock(state, series, CLOCK.steps) });
}

export function newestRow(state: State, series: number): number {
  return rowOf(state, series, clock(state, series, CLOCK.steps));
}

function clip(value: number, most: number): number {
  return value > most ? most : Math.max(value, -most);
}
