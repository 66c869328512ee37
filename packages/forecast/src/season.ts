/**
 * The seasonal profile: what the series was at each phase of its period, averaged over cycles with forgetting. Bursts
 * come a little early or late, so beside the mean it gives an envelope: the highest and lowest of the neighbouring phases.
 */

import { historyAt, historyLength } from "./history.ts";
import { OFFSET_COUNT, PERIOD_MAX_STEPS } from "./plan.ts";
import { CLOCK, clock, type State } from "./state.ts";

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
export const SMOOTH_STEPS = 2;
/** The same, as a part of a long period. */
const SMOOTH_PERIOD_PART = 1 / 96;
/** The profile is steep where its neighbours differ by this many times the noise. */
const STEEP_NOISES = 3;
/** How fast the level of the whole profile follows the series: hardly, within a few steps, nearly at once. */
export const OFFSET_ALPHAS = [0.01, 0.15, 0.5] as const;

/** A sample counts for at most so many usual changes from step to step; a change that lasts is followed all the way. */
const CHANGE_MAX = 30;

/** Fields of the part "season". */
const PERIOD = 0;
const STEPS = 1;
const DROPPED = 2;
export const OFFSETS = 3;

function fields(state: State, series: number): number {
  return series * state.plan.numbers + state.plan.at.season;
}

/** 0 when there is no season. */
export function seasonPeriod(state: State, series: number): number {
  return state.numbers[fields(state, series) + PERIOD]!;
}

/** Steps that the profile has gone through, with or without a sample; 0 when there is no season. */
export function seasonSteps(state: State, series: number): number {
  const at = fields(state, series);
  return state.numbers[at + PERIOD] === 0 ? 0 : state.numbers[at + STEPS]!;
}

/** Seasons that were believed and had to be dropped: two bursts always have a period, three seldom by chance. */
export function seasonsDropped(state: State, series: number): number {
  return state.numbers[fields(state, series) + DROPPED]!;
}

export function dropSeason(state: State, series: number): void {
  const at = fields(state, series);
  state.numbers[at + PERIOD] = 0;
  state.numbers[at + DROPPED] = state.numbers[at + DROPPED]! + 1;
}

/** Learns the profile from all of the history. */
export function adoptSeason(state: State, series: number, period: number): void {
  const at = fields(state, series);
  state.numbers[at + PERIOD] = period;
  state.numbers[at + STEPS] = 0;
  state.numbers.fill(0, at + OFFSETS, at + OFFSETS + OFFSET_COUNT);
  const profile = series * PERIOD_MAX_STEPS;
  state.profiles.fill(Number.NaN, profile, profile + period);
  for (let ago = historyLength(state, series) - 1; ago >= 0; ago -= 1) {
    observeSeason(state, series, historyAt(state, series, ago));
  }
}

export function observeSeason(state: State, series: number, value: number): void {
  const { numbers, profiles } = state;
  const at = fields(state, series);
  const period = numbers[at + PERIOD]!;
  if (period === 0) return;
  const steps = numbers[at + STEPS]!;
  const phase = series * PERIOD_MAX_STEPS + (steps % period);
  const known = profiles[phase]!;
  if (Number.isNaN(known)) {
    profiles[phase] = value;
  } else {
    // One wild sample must neither move the level nor come back with each cycle.
    const most = CHANGE_MAX * clock(state, series, CLOCK.noise);
    const slow = numbers[at + OFFSETS]!;
    const change = slow + Math.max(-most, Math.min(most, value - known - slow));
    for (let i = 0; i < OFFSET_COUNT; i += 1) {
      const offset = numbers[at + OFFSETS + i]!;
      const off = Math.max(-most, Math.min(most, value - known - offset));
      numbers[at + OFFSETS + i] = offset + OFFSET_ALPHAS[i]! * off;
    }
    const cycle = Math.floor(steps / period);
    profiles[phase] = known + Math.max(1 / (cycle + 1), CYCLE_WEIGHT_MIN) * change;
  }
  passSeason(state, series);
}

export function passSeason(state: State, series: number, steps = 1): void {
  const at = fields(state, series);
  if (state.numbers[at + PERIOD] === 0) return;
  state.numbers[at + STEPS] = state.numbers[at + STEPS]! + steps;
}

/** So much time has passed that the level of before says nothing any more: the profile stands as it was learnt. */
export function leapSeason(state: State, series: number, steps: number): void {
  const at = fields(state, series);
  passSeason(state, series, steps);
  state.numbers.fill(0, at + OFFSETS, at + OFFSETS + OFFSET_COUNT);
}

/**
 * What the profile says about one phase: the middle, the envelope, whether it is steep there, and the highest of a wider
 * neighbourhood: coming early or late moves a value along the profile, not beyond this.
 */
export type Phase = { middle: number; low: number; high: number; peak: number; steep: boolean };

/** Writes the phase `ahead` steps after the newest sample to `into`; `noise` is the usual change from step to step. */
export function readPhase(
  state: State,
  series: number,
  { ahead, noise, into }: { ahead: number; noise: number; into: Phase },
): void {
  const at = fields(state, series);
  const period = state.numbers[at + PERIOD]!;
  const phase = phaseAt(state, series, ahead);
  const span = reach(state.numbers[at + STEPS]!, period);
  readExtremes(state, series, { phase, span: span + 1, into });
  into.steep = isSteep(into.high - into.low, noise);
  if (into.steep) {
    into.peak = into.high;
    readExtremes(state, series, { phase, span, into });
    into.middle = state.profiles[series * PERIOD_MAX_STEPS + phase]!;
    return;
  }
  const wide = Math.max(Math.min(SMOOTH_STEPS, span + 1), Math.floor(period * SMOOTH_PERIOD_PART));
  into.middle = average(state, series, { phase, span: wide });
  into.low = into.middle;
  into.high = into.middle;
  into.peak = into.middle;
}

/** The raw profile `ahead` steps after the newest sample, 0 without a season. */
export function profileAt(state: State, series: number, ahead: number): number {
  if (seasonPeriod(state, series) === 0) return 0;
  const value = state.profiles[series * PERIOD_MAX_STEPS + phaseAt(state, series, ahead)]!;
  return Number.isNaN(value) ? 0 : value;
}

/** The highest that the raw profile reaches within so many steps, in means of two phases; NaN where none was seen. */
export function profileMax(state: State, series: number, within: number): number {
  const period = seasonPeriod(state, series);
  const profile = series * PERIOD_MAX_STEPS;
  let phase = phaseAt(state, series, 1);
  let before = state.profiles[profile + phase]!;
  let highest = within > 1 ? Number.NaN : 2 * before;
  for (let ahead = 2; ahead <= within; ahead += 1) {
    phase = phase + 1 === period ? 0 : phase + 1;
    const value = state.profiles[profile + phase]!;
    if (!(before + value <= highest) && !Number.isNaN(before + value)) highest = before + value;
    before = value;
  }
  return highest / 2;
}

function phaseAt(state: State, series: number, ahead: number): number {
  const at = fields(state, series);
  const period = state.numbers[at + PERIOD]!;
  return (((state.numbers[at + STEPS]! - 1 + ahead) % period) + period) % period;
}

function reach(steps: number, period: number): number {
  const wanted = steps < YOUNG_CYCLES * period ? REACH_STEPS_YOUNG : REACH_STEPS;
  return Math.min(wanted, Math.floor(period * REACH_PERIOD_PART));
}

function readExtremes(
  { profiles, numbers, plan }: State,
  series: number,
  { phase, span, into }: { phase: number; span: number; into: Phase },
): void {
  const period = numbers[series * plan.numbers + plan.at.season + PERIOD]!;
  const base = series * PERIOD_MAX_STEPS;
  into.low = profiles[base + phase]!;
  into.high = into.low;
  for (let near = phase - span; near <= phase + span; near += 1) {
    const value = profiles[base + wrap(near, period)]!;
    if (value < into.low) into.low = value;
    if (value > into.high) into.high = value;
  }
}

function average(
  { profiles, numbers, plan }: State,
  series: number,
  { phase, span }: { phase: number; span: number },
): number {
  const period = numbers[series * plan.numbers + plan.at.season + PERIOD]!;
  const base = series * PERIOD_MAX_STEPS;
  let sum = 0;
  for (let near = phase - span; near <= phase + span; near += 1) sum += profiles[base + wrap(near, period)]!;
  return sum / (2 * span + 1);
}

function wrap(phase: number, period: number): number {
  return phase < 0 ? phase + period : phase >= period ? phase - period : phase;
}

/** Whether a part of a profile with this range is steep, for an error that is `noise` elsewhere. */
export function isSteep(range: number, noise: number): boolean {
  return range > STEEP_NOISES * noise;
}
