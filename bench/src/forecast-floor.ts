/**
 * The error below which nobody can get on a series of counts: if arrivals are independent at a rate known exactly, counts
 * are Poisson, and the best forecast is their median. The rate is taken from a window around each sample, future
 * included, so this is a floor, not a forecast.
 */

import type { Series } from "./forecast-series.ts";

/** Samples to either side that the rate is a mean of. */
const REACH = 15;
/** Above this Poisson noise is a small part of what a series does. */
const RATE_MAX = 200;

/** Undefined when the series is not of small whole numbers. */
export function countFloor({ values }: Series, from: number): number | undefined {
  const present = values.filter((value) => !Number.isNaN(value));
  const mean = present.reduce((sum, value) => sum + value, 0) / present.length;
  if (mean > RATE_MAX || present.some((value) => !Number.isInteger(value) || value < 0)) return undefined;
  let sum = 0;
  let count = 0;
  for (let step = from; step < values.length; step += 1) {
    const near = values
      .subarray(Math.max(0, step - REACH), step + REACH + 1)
      .filter((value) => !Number.isNaN(value));
    if (near.length === 0) continue;
    sum += poissonDeviation(near.reduce((total, value) => total + value, 0) / near.length);
    count += 1;
  }
  return sum / count;
}

const known = new Map<number, number>();

/** Mean absolute deviation of a Poisson count from its median. */
function poissonDeviation(exactRate: number): number {
  const rate = Math.round(exactRate * 20) / 20;
  const before = known.get(rate);
  if (before !== undefined) return before;
  const masses = poissonMasses(rate);
  let median = 0;
  for (let below = masses[0]!; below < 0.5; below += masses[median]!) median += 1;
  const deviation = masses.reduce((sum, mass, count) => sum + mass * Math.abs(count - median), 0);
  known.set(rate, deviation);
  return deviation;
}

function poissonMasses(rate: number): number[] {
  const masses = [Math.exp(-rate)];
  const last = Math.ceil(rate + 10 * Math.sqrt(rate) + 10);
  for (let count = 1; count <= last; count += 1) masses.push((masses[count - 1]! * rate) / count);
  return masses;
}
