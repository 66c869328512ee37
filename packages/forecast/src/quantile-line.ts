/**
 * A candidate for each quantile that looks at more than past errors: what the other candidates say together, moved by a
 * line through where the last value, levels, trend, medians and season stand. The line is learnt by gradient steps on the
 * pinball loss (quantile regression: Koenker & Bassett, 1978); at first it moves nothing.
 */

import { clip } from "./least-squares.ts";
import { EXPERT, SIGHTS, SLOT } from "./plan.ts";
import type { State } from "./state.ts";

/** How far one outcome moves a weight, in units of what a miss and a hit at the level move together; falls with the horizon. */
const RATE = 0.002;
/** The middle is nearly right before any line is learnt: its line moves slower. */
const MEDIAN_PART = 0.3;
/** What lies further off counts as this many usual errors: one wild sample must not turn the line over. */
const SIGHT_MAX = 3;
const OTHERS = 2;

/** Working memory, so that a tick allocates nothing: distances from the center in slow usual errors. */
const sights = new Float64Array(SIGHTS);

/** What those candidates say for the scored level. */
export type Margins = { window: number; season: number };

/** Looks at one forecast; the functions below work on what was seen. */
export function lookAt({ singles, plan }: State, slot: number, { window, season }: Margins): void {
  const center = singles[slot + SLOT.center]!;
  const unit = singles[slot + SLOT.scales + 1]!;
  const experts = slot + SLOT.experts;
  sights[0] = 1;
  sights[1] = clip(singles[slot + SLOT.scales]! / unit, SIGHT_MAX);
  sights[3] = clip((window - center) / unit, SIGHT_MAX);
  sights[4] = clip((season - center) / unit, SIGHT_MAX);
  sights[5] = clip((singles[experts + EXPERT.last]! - center) / unit, SIGHT_MAX);
  sights[6] = clip((singles[experts + EXPERT.ses]! - center) / unit, SIGHT_MAX);
  sights[7] = clip((singles[experts + EXPERT.lines]! - center) / unit, SIGHT_MAX);
  sights[8] = clip((singles[experts + EXPERT.medians + 1]! - center) / unit, SIGHT_MAX);
  const highest = singles[slot + plan.slotWindow + plan.levels.length - 1]!;
  sights[9] = clip((highest - center) / unit, SIGHT_MAX);
}

/** A quantile of one forecast: `place` counts levels within horizons, `others` is what the other candidates say together. */
export type OnLine = { place: number; slot: number; others: number; into: Float64Array; intoAt: number };

/** Writes where the line says that it is. */
export function followLine(
  { singles, plan }: State,
  series: number,
  { place, slot, others, into, intoAt }: OnLine,
): void {
  const weights = series * plan.singles + plan.in.lineWeights + SIGHTS * place;
  const center = singles[slot + SLOT.center]!;
  const unit = singles[slot + SLOT.scales + 1]!;
  const start = clip((others - center) / unit, SIGHT_MAX);
  sights[OTHERS] = start;
  let sum = start;
  for (let i = 0; i < SIGHTS; i += 1) sum += singles[weights + i]! * sights[i]!;
  into[intoAt] = center + unit * sum;
}

export function learnLine({ singles, plan }: State, series: number, place: number, covered: boolean): void {
  const wide = plan.levels.length;
  const level = plan.levels[place % wide]!;
  const miss = covered ? level - 1 : level;
  const h = Math.floor(place / wide);
  const rate = level === 0.5 ? MEDIAN_PART * RATE : RATE;
  const step = (rate * miss * plan.strides[h]!) / (2 * level * (1 - level) * plan.horizons[h]!);
  const weights = series * plan.singles + plan.in.lineWeights + SIGHTS * place;
  for (let i = 0; i < SIGHTS; i += 1) singles[weights + i] = singles[weights + i]! + step * sights[i]!;
}
