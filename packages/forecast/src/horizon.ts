/**
 * One horizon: its mixture of experts, its errors and its quantiles. A forecast is remembered until its sample comes, then
 * the mixture, the score windows and the levels learn from it; nothing looks ahead.
 */

import { createAdaptiveLevel, createScoreWindow, type ScoreWindow } from "./conformal.ts";
import type { History } from "./history.ts";
import { createMixture } from "./mixture.ts";
import { periodWindow } from "./period.ts";
import { isSteep, SEASON_EXPERTS, type Season } from "./season.ts";
import { SMOOTHER_COUNT } from "./smoothers.ts";

const EXPERTS = SMOOTHER_COUNT + SEASON_EXPERTS;
/** The weight that a season newly found gets where its loss would have been below this part of the last value's. */
const SEASON_SEAT = 0.95;
const SEAT_BELOW = 0.6;

/** So many scores of flat parts must there be before they say how far above a peak it goes. */
const FLAT_MIN = 8;

/** Where the three base forecasts lie in a slot, after those of the experts. */
const MIDDLE = EXPERTS;
const LOW = EXPERTS + 1;
const HIGH = EXPERTS + 2;
/** Index of the group of windows the score goes to. */
const GROUP = EXPERTS + 3;
const LAST = EXPERTS + 4;
const QUANTILES = EXPERTS + 5;

/**
 * Scores are kept apart (Mondrian conformal prediction: Vovk, Gammerman & Shafer, 2005) while no season leads, and in flat
 * and in steep parts of a season that leads: what burst after burst went unforeseen says nothing about the time since the
 * period is known, and a burst that comes a step early says nothing about the quiet hours.
 */
const UNSEASONAL = 0;
const FLAT = 1;
const STEEP = 2;
const GROUPS = [UNSEASONAL, FLAT, STEEP] as const;

/** A forecast and what became of it. */
export type Outcome = {
  readonly truth: number;
  readonly last: number;
  readonly mean: number;
  readonly quantiles: Float64Array;
};

export type Horizon = {
  readonly steps: number;
  /** Learns from the forecast that was made for this sample; undefined when there was none. */
  learn(truth: number): Outcome | undefined;
  /** Makes the forecast from here. `smoothers` writes the forecasts of those experts. */
  predict(from: {
    last: number;
    noise: number;
    season: Season | undefined;
    smoothers: (into: Float64Array) => void;
  }): void;
  /** Moves on by one step without a sample. */
  skip(): void;
  /** A season was found: it leads at once if it would have been better here over its last cycle. */
  seat(period: number, history: History): void;
  /**
   * Takes the errors that a season would have made over its last cycle for those it will make. A period that is only
   * corrected changes nothing about the flat parts: their errors are kept.
   */
  seed(period: number, history: History, options: { noise: number; corrected: boolean }): void;
  mean(): number;
  quantile(index: number): number;
};

export function createHorizon(steps: number, levels: readonly number[]): Horizon {
  const stride = QUANTILES + levels.length;
  /** Forecasts that wait for their sample, one slot per step of the horizon. */
  const slots = new Float64Array(stride * steps).fill(Number.NaN);
  const newest = new Float64Array(stride).fill(Number.NaN);
  const mixture = createMixture(EXPERTS);
  const bases = levels.map((level) => (level > 0.5 ? HIGH : level < 0.5 ? LOW : MIDDLE));
  const used = [LOW, MIDDLE, HIGH].filter((base) => bases.includes(base));
  const adaptive = GROUPS.map(() => levels.map(createAdaptiveLevel));
  const windows = GROUPS.map(() => used.map(() => createScoreWindow()));
  const windowOf = (group: number, base: number): ScoreWindow => windows[group]![used.indexOf(base)]!;
  let slot = 0;

  function learn(truth: number): Outcome | undefined {
    const offset = slot * stride;
    const middle = slots[offset + MIDDLE]!;
    if (Number.isNaN(middle)) return undefined;
    const group = slots[offset + GROUP]!;
    for (let i = 0; i < levels.length; i += 1)
      adaptive[group]![i]!.learn(truth <= slots[offset + QUANTILES + i]!);
    for (const base of used) windowOf(group, base).add(truth - slots[offset + base]!);
    mixture.learn(slots, offset, truth);
    return {
      truth,
      last: slots[offset + LAST]!,
      mean: middle,
      quantiles: slots.subarray(offset + QUANTILES, offset + stride),
    };
  }

  return {
    steps,
    learn,
    predict({ last, noise, season, smoothers }) {
      smoothers(newest);
      const phase = season?.phase(steps, noise);
      if (season && phase) season.forecast(phase.middle, newest, SMOOTHER_COUNT);
      else newest.fill(Number.NaN, SMOOTHER_COUNT, EXPERTS);
      const middle = mixture.combine(newest, 0);
      const seasonal = phase ? seasonWeight() : 0;
      newest[MIDDLE] = middle;
      newest[LOW] = middle - (phase ? seasonal * (phase.middle - phase.low) : 0);
      newest[HIGH] = middle + (phase ? seasonal * (phase.high - phase.middle) : 0);
      newest[GROUP] = phase ? (phase.steep ? STEEP : FLAT) : UNSEASONAL;
      newest[LAST] = last;
      const peak = middle + (phase ? seasonal * (phase.peak - phase.middle) : 0);
      let floor = 0;
      for (let i = 0; i < levels.length; i += 1) {
        floor = Math.max(floor, quantileOf(i, peak));
        newest[QUANTILES + i] = floor;
      }
      slots.set(newest, slot * stride);
      slot = (slot + 1) % steps;
    },
    skip() {
      slots.fill(Number.NaN, slot * stride, (slot + 1) * stride);
      slot = (slot + 1) % steps;
    },
    seat(period, history) {
      const window = periodWindow(period, history.length());
      const before = history.change(steps, Math.min(window, history.length() - steps));
      if (history.change(period, window) < SEAT_BELOW * before) mixture.seat(SMOOTHER_COUNT, SEASON_SEAT);
    },
    seed(period, history, { noise, corrected }) {
      for (const base of used) {
        const groups = corrected && windowOf(FLAT, base).size() >= FLAT_MIN ? [STEEP] : [FLAT, STEEP];
        for (const group of groups) windowOf(group, base).clear();
        for (let ago = periodWindow(period, history.length()) - 1; ago >= 0; ago -= 1) {
          const past = pastOutcome(history, ago, { period, base });
          const group = isSteep(past.range, noise) ? STEEP : FLAT;
          if (groups.includes(group)) windowOf(group, base).add(past.error);
        }
      }
    },
    mean: () => Math.max(0, newest[MIDDLE]! || 0),
    quantile: (index) => newest[QUANTILES + index]! || 0,
  };

  /**
   * Where the season is steep its errors are mostly of time, and those end at the peak: above it lies only what is also
   * off where the season is flat. Without this a burst's plateau would get the margin of its edges on top.
   */
  function quantileOf(index: number, peak: number): number {
    const base = bases[index]!;
    const level = adaptive[newest[GROUP]!]![index]!.level();
    const wanted = newest[base]! + windowOf(newest[GROUP]!, base).quantile(level);
    const flat = windowOf(FLAT, base);
    if (newest[GROUP] !== STEEP || base !== HIGH || flat.size() < FLAT_MIN) return wanted;
    return Math.min(wanted, Math.max(peak, newest[HIGH]!) + flat.quantile(levels[index]!));
  }

  function seasonWeight(): number {
    let weight = 0;
    for (let i = SMOOTHER_COUNT; i < EXPERTS; i += 1) weight += mixture.weight(i);
    return weight;
  }
}

/** What the error would have been with the season as its own last cycle, envelope of one step included. */
function pastOutcome(
  history: History,
  ago: number,
  { period, base }: { period: number; base: number },
): { error: number; range: number } {
  const [high, low] = extremes(history, ago + period, 1);
  const expected = base === HIGH ? high : base === LOW ? low : history.at(ago + period);
  const [top, bottom] = extremes(history, ago + period, 2);
  return { error: history.at(ago) - expected, range: top - bottom };
}

function extremes(history: History, ago: number, reach: number): [high: number, low: number] {
  let high = history.at(ago);
  let low = high;
  for (let near = Math.max(0, ago - reach); near <= Math.min(history.length() - 1, ago + reach); near += 1) {
    high = Math.max(high, history.at(near));
    low = Math.min(low, history.at(near));
  }
  return [high, low];
}
