/**
 * How far a season's forecasts are off, kept apart for flat and for steep parts of its profile (Mondrian conformal prediction:
 * Vovk, Gammerman & Shafer, 2005): a burst that comes a step early says nothing about the quiet hours.
 */

import { addScore, resetHistogram, scoreAt } from "./histogram.ts";
import { createPlace, placeOfSeason } from "./histogram-places.ts";
import { historyAt, historyLength } from "./history.ts";
import { periodWindow } from "./period.ts";
import { EXPERTS, HIGH, LOW, MIDDLE, SEASON_FIRST, SLOT } from "./plan.ts";
import { isSteep, type Phase, SMOOTH_STEPS, seasonPeriod } from "./season.ts";
import type { Made } from "./slots.ts";
import { CLOCK, clock, type State } from "./state.ts";

/** A season's scores are seeded from its last cycle; beside them little is assumed. */
const SEASON_PRIOR_SCORES = 0.1;
/** So many scores of flat parts must there be before they are worth keeping when a period is corrected. */
const FLAT_MIN = 8;
/** Where the profile is steep, errors are measured in this part of its range there. */
const STEEP_UNIT = 1 / 6;

const FLAT = 0;
const STEEP = 1;

/** Working memory, so that a tick allocates nothing. */
const histogram = createPlace();
const place = { steep: false, kind: MIDDLE as number, into: histogram };

/** Groups from `first` on: 0 flat, 1 steep. */
export function resetSeasonHistograms(state: State, series: number, first = FLAT): void {
  for (let group = first; group <= STEEP; group += 1) {
    for (let kind = state.plan.firstKind; kind <= HIGH; kind += 1) {
      lookAtPlace(state, series, { steep: group === STEEP, kind });
      resetHistogram(histogram, SEASON_PRIOR_SCORES);
    }
    cacheSeasonScores(state, series, group === STEEP);
  }
}

function lookAtPlace(state: State, series: number, { steep, kind }: { steep: boolean; kind: number }): void {
  place.steep = steep;
  place.kind = kind;
  placeOfSeason(state, series, place);
}

/** Keeps the score of each level, flat beside steep: a season's errors do not depend on the horizon, so that all forecasts need the same. */
function cacheSeasonScores(state: State, series: number, steep: boolean): void {
  const { plan, numbers } = state;
  const at = series * plan.numbers + plan.at.seasonZs + (steep ? STEEP : FLAT);
  for (let q = 0; q < plan.levels.length; q += 1) {
    lookAtPlace(state, series, { steep, kind: plan.curves[q]! });
    numbers[at + 2 * q] = scoreAt(histogram, plan.levels[q]!);
  }
}

export function writeSeason(
  state: State,
  { mixture, slot, noise, phase }: { mixture: number; slot: number; noise: number; phase: Phase },
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

/** The season's errors do not depend on how far ahead they are made: those of the first horizon serve all. */
export function learnSeasonScores(state: State, series: number, { h, slot, value }: Made): void {
  const { singles, plan } = state;
  const seasonal = singles[slot + SLOT.seasonCenter]!;
  if (h > 0 || Number.isNaN(seasonal) || seasonPeriod(state, series) === 0) return;
  const unit = singles[slot + SLOT.unit]!;
  const off = Math.fround(value) - seasonal;
  for (let kind = plan.firstKind; kind <= HIGH; kind += 1) {
    const shift = kind === HIGH ? singles[slot + SLOT.up]! : kind === LOW ? -singles[slot + SLOT.down]! : 0;
    addSeasonScore(state, series, { kind, steep: unit < 0, z: (off - shift) / Math.abs(unit) });
  }
  cacheSeasonScores(state, series, unit < 0);
}

function addSeasonScore(
  state: State,
  series: number,
  { kind, steep, z }: { kind: number; steep: boolean; z: number },
): void {
  if (kind < state.plan.firstKind) return;
  lookAtPlace(state, series, { steep, kind });
  addScore(histogram, z);
}

/**
 * Takes the errors that a season would have made over its last cycle for those it will make. A period that is only
 * corrected changes nothing about the flat parts: their errors are kept.
 */
export function seedSeasonScores(state: State, series: number, { corrected }: { corrected: boolean }): void {
  lookAtPlace(state, series, { steep: false, kind: MIDDLE });
  const flatTotal = histogram.weights[histogram.weightAt + 1]!;
  const first = corrected && flatTotal >= FLAT_MIN ? STEEP : FLAT;
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
  cacheSeasonScores(state, series, false);
  cacheSeasonScores(state, series, true);
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
