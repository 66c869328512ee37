/** Synthetic families for the overload task, one sample a second, from a seed: ramps, scheduled bursts, days with ripple. */

import { type Random, seededRandom } from "@understudy/testkit/random";
import type { Series } from "./forecast-series.ts";

const BASE = 100;
const NOISE = 4;
const RISE = 60;

export const FAMILIES = ["ramp", "bursts", "diurnal"] as const;
export type Family = (typeof FAMILIES)[number];

const MAKERS: Readonly<Record<Family, (random: Random) => Float64Array>> = { ramp, bursts, diurnal };

export function familySeries(family: Family, seeds: number): Series[] {
  return Array.from({ length: seeds }, (_, index) => ({
    folder: `synthetic-${family}`,
    name: `${family}-${index + 1}`,
    stepMs: 1000,
    values: MAKERS[family](seededRandom(1000 + index)),
  }));
}

/** Rises at any time, over 40 to 80 s, stays for 30 s and falls as it rose. */
function ramp(random: Random): Float64Array {
  const values = new Float64Array(6000);
  let at = 0;
  while (at < values.length) {
    const quiet = random.integer(150, 400);
    const rise = random.integer(40, 80);
    const shape = (i: number) =>
      Math.min(1, Math.max(0, (i - quiet) / rise, 0), (quiet + 2 * rise + 30 - i) / rise);
    const length = quiet + 2 * rise + 30;
    for (let i = 0; i < length && at < values.length; i += 1, at += 1) {
      values[at] = BASE + RISE * Math.max(0, shape(i)) + NOISE * random.normal();
    }
  }
  return values;
}

/** Every 300 s, give or take a second, for 36 s. */
function bursts(random: Random): Float64Array {
  const values = new Float64Array(9000);
  let start = 100 + random.normal();
  let planned = 100;
  for (let at = 0; at < values.length; at += 1) {
    if (at > start + 36) {
      planned += 300;
      start = planned + random.normal();
    }
    const inside = Math.min(1, Math.max(0, Math.min(at - start, start + 36 - at) / 2));
    values[at] = BASE + RISE * inside + NOISE * random.normal();
  }
  return values;
}

/** A "day" of 1,200 s with a slow ripple on it. */
function diurnal(random: Random): Float64Array {
  let ripple = 0;
  return Float64Array.from({ length: 9000 }, (_, at) => {
    ripple = 0.95 * ripple + 1.2 * random.normal();
    return BASE + (RISE / 2) * Math.sin((2 * Math.PI * at) / 1200) + ripple + NOISE * random.normal();
  });
}
