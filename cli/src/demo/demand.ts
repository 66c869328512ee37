/**
 * How much is asked of the resource at each moment, in instances ("1.6" is 1.6 times what one instance can do), as a
 * curve without noise; and the arrivals drawn from it: a Poisson process, the same for every policy with the same seed.
 */

import { parseRows } from "@understudy/forecast/csv";
import { type Random, seededRandom } from "@understudy/testkit/random";

/** Demand in instances at a time since the start of the load. */
export type Curve = (atMs: number) => number;

export type Phases = {
  /** The forecast learns; nothing counts yet. */
  readonly learningMs: number;
  readonly scoredMs: number;
  /** Load at the base while the primary is killed and comes back. */
  readonly failoverMs: number;
};

export type DemandKind = "bursts" | "ramp" | "steps";

export const BASE_UNITS = 1.6;
const BURST_UNITS = 1.5;
const BURST_EVERY_MS = 30_000;
const BURST_FIRST_MS = 15_000;
const BURST_RISE_MS = 1_500;
const BURST_PLATEAU_MS = 8_000;
const PEAK_UNITS = BASE_UNITS + BURST_UNITS;

const RAMP_UP_MS = 40_000;
const RAMP_HOLD_MS = 20_000;
const STEP_LEVELS = [1, BASE_UNITS, 2.3, PEAK_UNITS] as const;
const STEP_MIN_MS = 8_000;
const STEP_SPREAD_MS = 15_000;

export function demandCurve(
  kind: DemandKind,
  { phases, jitterMs, seed }: { phases: Phases; jitterMs: number; seed: number },
): Curve {
  const endMs = phases.learningMs + phases.scoredMs;
  const random = seededRandom(seed);
  switch (kind) {
    case "bursts":
      return baseAfter(endMs, bursts(endMs, { jitterMs, random }));
    case "ramp":
      return baseAfter(endMs, ramp);
    case "steps":
      return baseAfter(endMs, steps(endMs, random));
  }
}

/** The failover act runs at base load, whatever came before. */
export function baseAfter(endMs: number, curve: Curve): Curve {
  return (atMs) => (atMs < endMs ? curve(atMs) : BASE_UNITS);
}

function bursts(endMs: number, { jitterMs, random }: { jitterMs: number; random: Random }): Curve {
  const starts: number[] = [];
  for (let planned = BURST_FIRST_MS; planned < endMs; planned += BURST_EVERY_MS) {
    const start = planned + random.normal() * jitterMs;
    if (start + 2 * BURST_RISE_MS + BURST_PLATEAU_MS <= endMs) starts.push(start);
  }
  return (atMs) => BASE_UNITS + BURST_UNITS * Math.max(0, ...starts.map((start) => burstShape(atMs - start)));
}

/** 0 to 1: rises, stays, falls. */
function burstShape(sinceMs: number): number {
  const risen = sinceMs / BURST_RISE_MS;
  const left = (2 * BURST_RISE_MS + BURST_PLATEAU_MS - sinceMs) / BURST_RISE_MS;
  return Math.min(1, Math.max(0, Math.min(risen, left)));
}

/** Up in 40 s, stays 20 s, down in 40 s, again and again. */
function ramp(atMs: number): number {
  const inCycleMs = atMs % (2 * (RAMP_UP_MS + RAMP_HOLD_MS));
  const upMs = Math.min(inCycleMs, 2 * RAMP_UP_MS + RAMP_HOLD_MS - inCycleMs);
  return BASE_UNITS + BURST_UNITS * Math.min(1, Math.max(0, upMs / RAMP_UP_MS));
}

/** Jumps to another level at moments that nobody can foresee. */
function steps(endMs: number, random: Random): Curve {
  const levels: { atMs: number; units: number }[] = [{ atMs: 0, units: BASE_UNITS }];
  for (let atMs = 0; atMs < endMs; ) {
    atMs += STEP_MIN_MS + random.next() * STEP_SPREAD_MS;
    const others = STEP_LEVELS.filter((units) => units !== levels.at(-1)!.units);
    levels.push({ atMs, units: random.pick(others) });
  }
  return (atMs) => levels.findLast((level) => level.atMs <= atMs)?.units ?? BASE_UNITS;
}

export type TracePoint = { readonly atMs: number; readonly value: number };

/**
 * Points of a CSV file: its first column is the time, its last one the value; rows without a value are no points. Throws a
 * RangeError that names the line it could not read.
 */
export function parseTrace(csv: string): TracePoint[] {
  const points: TracePoint[] = [];
  for (const { atMs, values, line } of parseRows(csv).rows) {
    const value = values.at(-1)!;
    if (Number.isNaN(value)) continue;
    if (value < 0) throw new RangeError(`line ${line}: demand of ${value} is below 0`);
    if (atMs < (points.at(-1)?.atMs ?? atMs))
      throw new RangeError(`line ${line}: its time is before the last one`);
    points.push({ atMs, value });
  }
  if (points.length < 2) throw new RangeError("fewer than two points");
  return points;
}

/** The trace from its start at `speed` times its pace, scaled so that its peak within `lengthMs` is the peak of the bursts. */
export function traceCurve(
  points: readonly TracePoint[],
  { speed, lengthMs }: { speed: number; lengthMs: number },
): Curve {
  const startMs = points[0]!.atMs;
  const used = points.filter((point) => (point.atMs - startMs) / speed <= lengthMs);
  // Straight lines peak at their ends, and the last one may be cut off by the length.
  const last = valueAt(points, startMs + lengthMs * speed);
  const peak = used.reduce((most, { value }) => Math.max(most, value), last);
  return (atMs) => {
    const within = Math.min(atMs, lengthMs);
    return peak > 0 ? (valueAt(points, startMs + within * speed) / peak) * PEAK_UNITS : 0;
  };
}

/** Between two points on a straight line; before the first and after the last their values. */
function valueAt(points: readonly TracePoint[], atMs: number): number {
  let low = 0;
  let high = points.length - 1;
  if (atMs >= points[high]!.atMs) return points[high]!.value;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle]!.atMs <= atMs) low = middle;
    else high = middle;
  }
  const before = points[low]!;
  const after = points[high]!;
  const part =
    after.atMs === before.atMs ? 0 : Math.max(0, (atMs - before.atMs) / (after.atMs - before.atMs));
  return before.value + part * (after.value - before.value);
}

export type RequestKind = "product" | "list" | "order-read" | "order" | "view";

export type Arrival = {
  /** Since the start of the load. */
  readonly atMs: number;
  readonly kind: RequestKind;
  /** Uniform in [0, 1): which product or order. */
  readonly choice: number;
};

/** Shares of the kinds, those of a catalogue: 95 % reads, 5 % keyed writes, half of them critical. */
const MIX: readonly (readonly [RequestKind, number])[] = [
  ["product", 0.77],
  ["list", 0.09],
  ["order-read", 0.09],
  ["order", 0.025],
  ["view", 0.025],
];

/** Arrivals of a Poisson process whose rate follows the curve (thinning: Lewis and Shedler 1979). */
export function arrivals(
  curve: Curve,
  { ratePerUnit, lengthMs, seed }: { ratePerUnit: number; lengthMs: number; seed: number },
): Arrival[] {
  const random = seededRandom(seed ^ 0x5eed);
  const maxUnits = Math.max(
    ...Array.from({ length: Math.ceil(lengthMs / 100) + 1 }, (_, index) => curve(index * 100)),
  );
  const maxPerMs = (maxUnits * ratePerUnit) / 1000;
  const drawn: Arrival[] = [];
  for (let atMs = 0; ; ) {
    atMs += random.exponential(1 / maxPerMs);
    if (atMs >= lengthMs) return drawn;
    if (random.next() * maxUnits < curve(atMs))
      drawn.push({ atMs, kind: kindOf(random.next()), choice: random.next() });
  }
}

function kindOf(draw: number): RequestKind {
  let left = draw;
  for (const [kind, share] of MIX) {
    left -= share;
    if (left < 0) return kind;
  }
  return "product";
}
