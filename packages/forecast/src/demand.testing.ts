/** Series for the tests, from a seed: the demo's bursts as a load balancer counts them, and plain noise. */

import { type Random, seededRandom } from "@understudy/testkit/random";

export const UNIT_RPS = 200;
export const BASE_RPS = 1.6 * UNIT_RPS;
export const PEAK_RPS = 3.1 * UNIT_RPS;
const FIRST_BURST_S = 15;
const RISE_S = 1.5;
const PLATEAU_S = 8;
export const BURST_S = 2 * RISE_S + PLATEAU_S;
/** Parts of a step that the curve is averaged over. */
const PARTS = 20;

export type Bursts = {
  /** Requests per second counted in each step of 1 s. */
  readonly samples: readonly number[];
  /** When each burst begins, in seconds. */
  readonly starts: readonly number[];
};

/** Poisson arrivals; `jitterS` is the deviation of each burst from its place on a grid of 30 s. */
export function burstSeries({
  seed,
  jitterS,
  lengthS,
}: {
  seed: number;
  jitterS: number;
  lengthS: number;
}): Bursts {
  const random = seededRandom(seed);
  const starts: number[] = [];
  for (let planned = FIRST_BURST_S; planned < lengthS + BURST_S; planned += 30) {
    starts.push(planned + jitterS * random.normal());
  }
  const rate = (atS: number) =>
    BASE_RPS + (PEAK_RPS - BASE_RPS) * Math.max(...starts.map((start) => shape(atS - start)));
  const samples = Array.from({ length: lengthS }, (_, second) => {
    let mean = 0;
    for (let part = 0; part < PARTS; part += 1) mean += rate(second + (part + 0.5) / PARTS) / PARTS;
    return poisson(mean, random);
  });
  return { samples, starts };
}

function shape(sinceS: number): number {
  return Math.min(1, Math.max(0, Math.min(sinceS, BURST_S - sinceS) / RISE_S));
}

/** Close enough for means of hundreds. */
export function poisson(mean: number, random: Random): number {
  return Math.max(0, Math.round(mean + Math.sqrt(mean) * random.normal()));
}
