/**
 * Rates out of counters. A counter that went back was reset, one that was not seen for long tells of another time, and one
 * seen for the first time is no difference: all three give NaN, never a spike. So does one that was read at a moment we
 * hardly know: an answer that waited for us while we stood still, counted up to now, would halve this rate and double the
 * next.
 */

import type { Moment } from "./moment.ts";

type Point = { readonly value: number; readonly atMs: number };

/** Beyond this a difference is an average over another time than now. */
const AGE_MAX_MS = 2000;
const POINTS_MAX = 64;
/** Doubt about the moment, as a part of the time between two points; the rate is wrong by as much. */
const DOUBT_PART_MAX = 1 / 8;

/** Newest last, at most as far back as the window of the counter. */
export type Rates = ReadonlyMap<string, readonly Point[]>;

/**
 * Reads the counters of one tick against those of the ticks before and gathers the state for the next one. A key that is
 * neither read nor kept in a tick has ended: it begins anew when it comes back.
 */
export class RateReader {
  readonly #before: Rates;
  readonly #next = new Map<string, readonly Point[]>();

  constructor(before: Rates) {
    this.#before = before;
  }

  /** Change per second over the last `windowMs` (over the last two points when that is 0); NaN when there is none. */
  perSecond(
    key: string,
    { value, atMs, doubtMs }: Moment & { readonly value: number },
    windowMs = 0,
  ): number {
    if (!Number.isFinite(value)) return Number.NaN;
    const known = this.#before.get(key) ?? [];
    const last = known.at(-1);
    const continues = last && value >= last.value && atMs > last.atMs && atMs - last.atMs <= AGE_MAX_MS;
    if (continues && doubtMs > DOUBT_PART_MAX * (atMs - last.atMs)) {
      this.keep(key);
      return Number.NaN;
    }
    const points = continues ? within([...known, { value, atMs }], windowMs) : [{ value, atMs }];
    this.#next.set(key, points);
    return slope(points);
  }

  /** This counter could not be read this time; it may go on next time. */
  keep(key: string): void {
    const points = this.#before.get(key);
    if (points) this.#next.set(key, points);
  }

  /** None of the counters whose key starts with `prefix` could be read. */
  keepAll(prefix: string): void {
    for (const key of this.#before.keys()) if (key.startsWith(prefix)) this.keep(key);
  }

  next(): Rates {
    return this.#next;
  }
}

/** The newest point and those before it, back to the first that covers the window. */
function within(points: readonly Point[], windowMs: number): readonly Point[] {
  const fromMs = points.at(-1)!.atMs - windowMs;
  const covering = points.findLastIndex(({ atMs }) => atMs <= fromMs);
  const first = Math.min(Math.max(0, covering), points.length - 2);
  return points.slice(Math.max(first, points.length - POINTS_MAX));
}

function slope(points: readonly Point[]): number {
  const [first, last] = [points[0], points.at(-1)];
  if (!first || !last || last.atMs <= first.atMs) return Number.NaN;
  return ((last.value - first.value) * 1000) / (last.atMs - first.atMs);
}
