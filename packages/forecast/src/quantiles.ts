/**
 * The quantiles of one horizon: several candidates for each level, mixed by their pinball loss, at a level that is adapted
 * online so that the stated share of samples really falls below (Gibbs & Candes, "Adaptive conformal inference under
 * distribution shift", 2021).
 */

import { isAtom } from "./atoms.ts";
import { type ScoresWanted, scoresAt } from "./histogram.ts";
import { createPlace, placeOfScale } from "./histogram-places.ts";
import { combine, learnWeights, seat } from "./mixture.ts";
import { CANDIDATES, EXPERT, HIGH, LOW, SCALES, SLOT } from "./plan.ts";
import { followLine, learnLine, lookAt, type Margins } from "./quantile-line.ts";
import { pinballLoss } from "./scores.ts";
import type { Made } from "./slots.ts";
import { CLOCK, clock, type State } from "./state.ts";

const MEDIAN = 0.5;
const FAST = 0;
const SLOW = 1;
const WINDOW = 2;
const SEASON = 3;
const LINE = 4;
/** What they weigh at first: the raw window is seldom right where a series remembers its last value. */
export const CANDIDATE_WEIGHTS = [0.3, 0.3, 0.02, 0.08, 0.3] as const;
/** Their race: how fast weights follow losses, and the part dealt out evenly; the rate falls with the root of the horizon. */
const CANDIDATE_RATE = 0.15;
const CANDIDATE_SHARE = 0.002;
const CANDIDATE_EXPONENT = 0.5;
/** The weight of a season's candidate when the season is found. */
const CANDIDATE_SEAT = 0.995;
/** How far one miss moves a level, in log odds, and the furthest it may go; in proportion to 1 / horizon. */
const ADAPTATION = 0.002;
const ADAPTATION_MAX = 3;
/** How far one miss moves a quantile itself, in usual errors; in proportion to 1 / horizon. */
const SHIFT = 0.02;

/** Working memory, so that a tick allocates nothing. */
/** The candidates of one quantile, and after them what they say together. */
const candidates = new Float64Array(CANDIDATES + 1);
const losses = new Float64Array(CANDIDATES);
const onLine = { place: 0, slot: 0, others: 0, into: candidates, intoAt: LINE };
const margins: Margins = { window: 0, season: 0 };
const race = { losses, rate: 0, share: CANDIDATE_SHARE };
const histogram = createPlace();
const place = { h: 0, k: 0, into: histogram };
const cached: ScoresWanted = { into: new Float64Array(0), intoAt: 0 };

export function writeQuantiles(state: State, series: number, made: Made): void {
  const { plan, numbers, singles } = state;
  const { h, slot } = made;
  const wide = plan.levels.length;
  let least = clock(state, series, CLOCK.negative) === 0 ? 0 : Number.NEGATIVE_INFINITY;
  const whole = clock(state, series, CLOCK.fractional) === 0;
  const repeats = singles[slot + SLOT.repeats] === 1;
  cacheScores(state, series, h);
  look(state, series, made);
  const mixtures = series * plan.numbers + plan.at.candidates + CANDIDATES * h * wide;
  const shifts = series * plan.numbers + plan.at.shifts + h * wide;
  for (let q = 0; q < wide; q += 1) {
    readCandidates(state, series, made, q);
    addLine(state, series, made, q);
    combine(numbers, mixtures + CANDIDATES * q, candidates);
    const value = candidates[CANDIDATES]! + numbers[shifts + q]! * singles[slot + SLOT.scales + SLOW]!;
    const said =
      repeats && isAtom(state, series, made, plan.levels[q]!)
        ? singles[slot + SLOT.experts + EXPERT.last]!
        : whole
          ? Math.round(value)
          : value;
    if (!(said < least)) least = said;
    singles[slot + SLOT.quantiles + q] = least;
  }
}

/** The levels to ask for so that the stated share is covered (Gibbs & Candes, 2021), moved in log odds so that they stay levels. */
function adaptLevels({ numbers, plan, levels }: State, series: number, h: number): void {
  const at = series * plan.numbers + plan.at.adaptation + h * plan.levels.length;
  let least = 0;
  for (let q = 0; q < plan.levels.length; q += 1) {
    const level = plan.levels[q]!;
    const odds = (level / (1 - level)) * Math.exp(numbers[at + q]!);
    const adapted = numbers[at + q] === 0 ? level : odds / (1 + odds);
    least = Math.max(least, adapted);
    levels[q] = least;
  }
}

/** Keeps the scores at the adapted levels: they are needed again when the forecast is judged. */
function cacheScores(state: State, series: number, h: number): void {
  const { plan, numbers } = state;
  adaptLevels(state, series, h);
  place.h = h;
  cached.into = numbers;
  for (let k = 0; k < SCALES; k += 1) {
    place.k = k;
    placeOfScale(state, series, place);
    cached.intoAt = series * plan.numbers + plan.at.zs + (SCALES * h + k) * plan.levels.length;
    scoresAt(histogram, state.levels, cached);
  }
}

/** What each candidate says for quantile `q`; NaN for one that has nothing to say. The median's first is the center itself. */
function readCandidates(state: State, series: number, { h, slot }: Made, q: number): void {
  const { plan, numbers, singles } = state;
  const base = series * plan.numbers;
  const wide = plan.levels.length;
  const center = singles[slot + SLOT.center]!;
  const zs = base + plan.at.zs + SCALES * h * wide + q;
  candidates[FAST] =
    plan.levels[q] === MEDIAN ? center : center + singles[slot + SLOT.scales]! * numbers[zs]!;
  candidates[SLOW] = center + singles[slot + SLOT.scales + 1]! * numbers[zs + wide]!;
  candidates[WINDOW] = singles[slot + plan.slotWindow + q]!;
  const seasonal = singles[slot + SLOT.seasonCenter]!;
  if (Number.isNaN(seasonal)) {
    candidates[SEASON] = Number.NaN;
    return;
  }
  const unit = singles[slot + SLOT.unit]!;
  const kind = plan.curves[q]!;
  const shift = kind === HIGH ? singles[slot + SLOT.up]! : kind === LOW ? -singles[slot + SLOT.down]! : 0;
  const scores = base + plan.at.seasonZs + 2 * q;
  const flat = numbers[scores]!;
  const noise = clock(state, series, CLOCK.noise);
  if (unit > 0) {
    candidates[SEASON] = seasonal + shift + unit * flat;
    return;
  }
  const steep = seasonal + shift - unit * numbers[scores + 1]!;
  // Where the season is steep its errors are mostly of time, and those end at the peak: above it lies only what is also
  // off where the season is flat. Without this a burst's plateau would get the margin of its edges on top.
  const most = seasonal + Math.max(singles[slot + SLOT.peak]!, shift) + noise * flat;
  candidates[SEASON] = kind === HIGH ? Math.min(steep, most) : steep;
}

/** What the line of all levels looks at. */
function look(state: State, series: number, made: Made): void {
  readCandidates(state, series, made, state.plan.scoredLevel);
  margins.window = candidates[WINDOW]!;
  margins.season = candidates[SEASON]!;
  lookAt(state, made.slot, margins);
}

/** The line starts from what the other candidates say together. */
function addLine(state: State, series: number, { h, slot }: Made, q: number): void {
  const { plan, numbers } = state;
  const place = h * plan.levels.length + q;
  candidates[LINE] = Number.NaN;
  const weights = series * plan.numbers + plan.at.candidates + CANDIDATES * place;
  onLine.place = place;
  onLine.slot = slot;
  combine(numbers, weights, candidates);
  onLine.others = candidates[CANDIDATES]!;
  followLine(state, series, onLine);
}

export function learnQuantiles(state: State, series: number, made: Made): void {
  const { plan, numbers, singles } = state;
  const { h, slot } = made;
  const wide = plan.levels.length;
  const single = Math.fround(made.value);
  const slow = singles[slot + SLOT.scales + SLOW]!;
  race.rate = (CANDIDATE_RATE * plan.strides[h]!) / plan.horizons[h]! ** CANDIDATE_EXPONENT;
  const mixtures = series * plan.numbers + plan.at.candidates + CANDIDATES * h * wide;
  look(state, series, made);
  for (let q = 0; q < wide; q += 1) {
    const level = plan.levels[q]!;
    const quantile = singles[slot + SLOT.quantiles + q]!;
    if (single !== quantile) adapt(state, series, h * wide + q, single < quantile);
    readCandidates(state, series, made, q);
    addLine(state, series, made, q);
    if (single !== candidates[LINE]) learnLine(state, series, h * wide + q, single < candidates[LINE]!);
    const unit = 1 / (plan.lossUnits[q]! * slow);
    for (let k = 0; k < CANDIDATES; k += 1) losses[k] = unit * pinballLoss(single, candidates[k]!, level);
    learnWeights(numbers, mixtures + CANDIDATES * q, race);
  }
}

/**
 * Moves the level and the shift of one quantile of one horizon: `place` counts levels within horizons. The median is judged by
 * its error, which moving it would only raise.
 */
function adapt({ numbers, plan }: State, series: number, place: number, covered: boolean): void {
  const at = series * plan.numbers + plan.at.adaptation + place;
  const shiftAt = series * plan.numbers + plan.at.shifts + place;
  const wide = plan.levels.length;
  const level = plan.levels[place % wide]!;
  const h = Math.floor(place / wide);
  // One in a stride is learnt from, for all of the stride.
  const part = plan.strides[h]! / plan.horizons[h]!;
  const miss = covered ? level - 1 : level;
  if (level === MEDIAN) return;
  numbers[shiftAt] = numbers[shiftAt]! + SHIFT * part * miss;
  const moved = numbers[at]! + (ADAPTATION * part * miss) / (level * (1 - level));
  numbers[at] = Math.min(ADAPTATION_MAX, Math.max(-ADAPTATION_MAX, moved));
}

/** A season was found: its quantiles lead at once. The median is not moved where its forecasts do not lead. */
export function seatSeasonQuantiles(
  { plan, numbers }: State,
  series: number,
  { h, leads }: { h: number; leads: boolean },
): void {
  for (let q = 0; q < plan.levels.length; q += 1) {
    if (plan.levels[q] === MEDIAN && !leads) continue;
    const place = series * plan.numbers + plan.at.candidates + CANDIDATES * (h * plan.levels.length + q);
    seat(numbers, place, { count: CANDIDATES, first: SEASON, share: CANDIDATE_SEAT });
  }
}
