/** Where the histograms of one series lie: of errors by scale, one for each horizon; of a season's, by steepness and curve. */

import type { Histogram } from "./histogram.ts";
import { SCALES } from "./plan.ts";
import type { State } from "./state.ts";

/** To be filled again for each use, so that a tick allocates nothing. */
export function createPlace(): Histogram {
  return { bins: new Float32Array(0), at: 0, first: 0, weights: new Float64Array(0), weightAt: 0 };
}

/** Of the errors of horizon `h` in units of scale `k`. */
export function placeOfScale(
  { singles, numbers, plan }: State,
  series: number,
  { h, k, into }: { h: number; k: number; into: Histogram },
): void {
  const place = SCALES * h + k;
  into.bins = singles;
  into.at = series * plan.singles + plan.in.histograms + place * plan.bins;
  into.first = plan.firstBin;
  into.weights = numbers;
  into.weightAt = series * plan.numbers + plan.at.histogramWeights + 2 * place;
}

/** Of the errors of a season where it is flat or steep, from one of its curves: LOW, MIDDLE or HIGH. */
export function placeOfSeason(
  { singles, numbers, plan }: State,
  series: number,
  { steep, kind, into }: { steep: boolean; kind: number; into: Histogram },
): void {
  const place = (steep ? plan.kinds : 0) + kind - plan.firstKind;
  into.bins = singles;
  into.at = series * plan.singles + plan.in.seasonHistograms + place * plan.bins;
  into.first = plan.firstBin;
  into.weights = numbers;
  into.weightAt = series * plan.numbers + plan.at.seasonZs + 2 * plan.levels.length + 2 * place;
}
