/**
 * The seasonal profile: what the series was at each phase of its period, averaged over cycles with forgetting. Bursts
 * come a little early or late, so beside the mean it gives an envelope: the highest and lowest of the neighbouring phases.
 */

import type { History } from "./history.ts";

/** Weight of the newest cycle once there are several; before that all cycles count the same. */
const CYCLE_WEIGHT_MIN = 0.25;
/**
 * Phases to either side that the envelope looks at. With few cycles the period itself is uncertain: two bursts that are
 * each off by s give a third one that is off by s times the root of 6 from where they point, later ones by about s.
 */
const REACH_STEPS = 1;
const REACH_STEPS_YOUNG = 2;
const YOUNG_CYCLES = 3;
/** A reach beyond this part of the period would be all envelope and no profile. */
const REACH_PERIOD_PART = 1 / 8;
/** Where the profile is flat, so many neighbours to either side are averaged with each phase to take out noise. */
const SMOOTH_STEPS = 2;
/** The profile is steep where its neighbours differ by this many times the noise. */
const STEEP_NOISES = 3;
/** How fast the level of the whole profile follows the series: hardly, and within a few steps. */
const OFFSET_ALPHAS = [0.01, 0.15] as const;

export const SEASON_EXPERTS = OFFSET_ALPHAS.length;

/** What the profile says about one phase. */
export type Phase = {
  readonly middle: number;
  /** The envelope; equal to the middle where the profile is flat. */
  readonly low: number;
  readonly high: number;
  /** The highest of a wider neighbourhood: coming early or late moves a value along the profile, not beyond this. */
  readonly peak: number;
  readonly steep: boolean;
};

export type Season = {
  readonly period: number;
  observe(value: number): void;
  /** A sample was missed: time passes, nothing is learnt. */
  skip(): void;
  /** The phase `ahead` steps after the newest sample; `noise` is the usual change from step to step. */
  phase(ahead: number, noise: number): Phase;
  /** Writes SEASON_EXPERTS forecasts around the middle of a phase. */
  forecast(middle: number, into: Float64Array, offset: number): void;
};

/** Learns from all of `history` first. */
export function createSeason(period: number, history: History): Season {
  const profile = new Float32Array(period).fill(Number.NaN);
  const offsets = new Float64Array(SEASON_EXPERTS);
  let steps = 0;

  function observe(value: number): void {
    const phase = steps % period;
    const known = profile[phase]!;
    if (Number.isNaN(known)) {
      profile[phase] = value;
    } else {
      for (let i = 0; i < SEASON_EXPERTS; i += 1) {
        offsets[i] = offsets[i]! + OFFSET_ALPHAS[i]! * (value - known - offsets[i]!);
      }
      const cycle = Math.floor(steps / period);
      profile[phase] = known + Math.max(1 / (cycle + 1), CYCLE_WEIGHT_MIN) * (value - known);
    }
    steps += 1;
  }

  const at = (ahead: number) => profile[(((steps - 1 + ahead) % period) + period) % period]!;

  function reach(): number {
    const wanted = steps < YOUNG_CYCLES * period ? REACH_STEPS_YOUNG : REACH_STEPS;
    return Math.min(wanted, Math.floor(period * REACH_PERIOD_PART));
  }

  function phase(ahead: number, noise: number): Phase {
    const span = reach();
    const wide = extremes(ahead, span + 1);
    if (isSteep(wide.high - wide.low, noise)) {
      return { middle: at(ahead), ...extremes(ahead, span), peak: wide.high, steep: true };
    }
    const middle = average(ahead, Math.min(SMOOTH_STEPS, span + 1));
    return { middle, low: middle, high: middle, peak: middle, steep: false };
  }

  function extremes(ahead: number, span: number): { low: number; high: number } {
    let low = at(ahead);
    let high = low;
    for (let near = ahead - span; near <= ahead + span; near += 1) {
      low = Math.min(low, at(near));
      high = Math.max(high, at(near));
    }
    return { low, high };
  }

  function average(ahead: number, span: number): number {
    let sum = 0;
    for (let near = ahead - span; near <= ahead + span; near += 1) sum += at(near);
    return sum / (2 * span + 1);
  }

  for (let ago = history.length() - 1; ago >= 0; ago -= 1) observe(history.at(ago));

  return {
    period,
    observe,
    skip: () => {
      steps += 1;
    },
    phase,
    forecast(middle, into, offset) {
      for (let i = 0; i < SEASON_EXPERTS; i += 1) into[offset + i] = middle + offsets[i]!;
    },
  };
}

/** Whether a part of a profile with this range is steep, for an error that is `noise` elsewhere. */
export function isSteep(range: number, noise: number): boolean {
  return range > STEEP_NOISES * noise;
}
