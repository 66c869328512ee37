/**
 * Who else is on the path, and how much room to take beside him. A queue that does not go away when we drain ours is
 * somebody else's. A flow that keeps a queue without filling it (BBR) takes what lies in the queue in proportion; one that
 * fills it until packets are lost (CUBIC) is met by his own law (cubic.ts).
 *
 * What the path carried while we were alone on it tells our share now: above a half we hold back, so that a newcomer
 * grows without losing packets for it; below, or where we came second and do not know, we lie in the queue as he does.
 */

import { type CubicWindow, cubicWindow } from "./cubic.ts";
import { recentMin } from "./extremes.ts";

/** Windows in round trips of our own rate. */
const GAIN_UNKNOWN = 3.25;
const GAIN_EVEN = 2.7;
const GAIN_SLOPE = 5;
const GAIN_MIN = 1.25;
const GAIN_MAX = 3.5;
/** Where the cubic window decides, this one only bounds it. */
const CONTEND_GAIN = 4;
/** Nothing shorter than this in so many rounds is a standing queue. */
const ROUNDS = 16;
const ROUNDS_MIN = 8;
const QUEUE_SHARE = 0.2;
const QUEUE_MS = 4;
/** Alone for so long, and what we have is what the path carries. */
const ALONE_MS = 3_000;
/** More than our part: we make room at once and not over many losses. */
const SHARE_EVEN = 0.5;
const SHARE_GREEDY = 0.6;
const KEEP_GREEDY = 0.5;
/** Who came second cannot tell a flow that answers to losses from one that does not: between the two. */
const KEEP_UNKNOWN = 0.8;
const SHARE_POOR = 0.4;

export interface Company {
  /** The shortest round trip of a round. */
  hearRound(leastMs: number, round: number): void;
  /** The mean rate of a whole cycle. */
  hearCycle(rate: number, at: { minRttMs: number; nowMs: number }): void;
  /** A probe has found the shortest round trip longer than it was: somebody holds a queue that we took for the path. */
  suspect(): void;
  /** The path has become another one. */
  forget(): void;
  /** Packets were lost because the queue was full. */
  yieldTo(at: { flying: number; rate: number; rttMs: number; minRttMs: number; nowMs: number }): void;
  /** Nobody fills the queue any more. */
  release(): void;
  isCrowded(minRttMs: number): boolean;
  /** Round trips' worth of `rate` that may be in flight. */
  gain(rate: number): number;
  readonly cubic: CubicWindow | undefined;
  /** What may be in flight beside a flow that fills the queue. None while our share is poor: who took it answers to no loss. */
  ceiling(rate: number, nowMs: number): number | undefined;
}

export function company(): Company {
  const recent = recentMin(ROUNDS);
  let [capacity, aloneSinceMs] = [undefined as number | undefined, undefined as number | undefined];
  let isSuspect = false;
  let rounds = 0;
  const isCrowded = (minRttMs: number) =>
    rounds >= ROUNDS_MIN && (recent.value ?? 0) > minRttMs * (1 + QUEUE_SHARE) + QUEUE_MS;
  let cubic: CubicWindow | undefined;
  const shareOf = (rate: number) => (capacity ? rate / capacity : undefined);

  return {
    hearRound(leastMs, round) {
      rounds += 1;
      if (rounds === 1) recent.reset(leastMs, round);
      else recent.add(leastMs, round);
    },
    hearCycle(rate, { minRttMs, nowMs }) {
      if (cubic || isCrowded(minRttMs)) aloneSinceMs = undefined;
      else if (aloneSinceMs === undefined) aloneSinceMs = nowMs;
      else if (nowMs - aloneSinceMs > ALONE_MS && !isSuspect) capacity = rate;
    },
    suspect() {
      isSuspect = true;
    },
    forget() {
      [capacity, cubic, aloneSinceMs, isSuspect, rounds] = [undefined, undefined, undefined, false, 0];
    },
    yieldTo({ flying, rate, rttMs, minRttMs, nowMs }) {
      const share = shareOf(rate);
      const isGreedy = (share ?? 0) > SHARE_GREEDY && isCrowded(minRttMs);
      const keep = share === undefined ? KEEP_UNKNOWN : isGreedy ? KEEP_GREEDY : undefined;
      cubic = cubicWindow(flying, rttMs, nowMs, { ...(cubic && { before: cubic }), ...(keep && { keep }) });
    },
    release() {
      cubic = undefined;
    },
    isCrowded,
    gain(rate) {
      const share = shareOf(rate);
      if (cubic) return share !== undefined && share > SHARE_GREEDY ? GAIN_EVEN : CONTEND_GAIN;
      if (share === undefined) return GAIN_UNKNOWN;
      return Math.min(GAIN_MAX, Math.max(GAIN_MIN, GAIN_EVEN + GAIN_SLOPE * (SHARE_EVEN - share)));
    },
    get cubic() {
      return cubic;
    },
    ceiling(rate, nowMs) {
      return (shareOf(rate) ?? 1) < SHARE_POOR ? undefined : cubic?.at(nowMs);
    },
  };
}
