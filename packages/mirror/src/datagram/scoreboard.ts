/**
 * What is in flight, and what the receiver's reports say about it: arrived, lost, how long it took and how fast data is
 * being delivered. Every transmission has its own number, so nothing is ambiguous. Rate samples are those of
 * draft-cheng-iccrg-delivery-rate-estimation: what was delivered since a packet left, over the longer of the time it
 * took to send and to deliver it, so that neither bursts nor delayed reports look like speed.
 */

import { AHEAD_MAX, type Runs } from "./runs.ts";

/** A packet without a piece of the stream: it only asks for news. */
export const PING = -1;
/** A gap this far below the highest arrival is a loss, on a path without disorder (RFC 9002's packet threshold). */
const LOSS_DISTANCE = 3;
/** However great the disorder: what left so many round trips, and a little, before another that has arrived is lost. */
const LATE_ROUND_TRIPS = 2;
const LATE_MS = 50;

/** What a report says of arrivals; times on the receiver's clock. */
export type ArrivalReport = {
  readonly floor: number;
  readonly highest: number;
  readonly runs: Runs;
  /** Packets that have arrived in all, each counted once. */
  readonly received: number;
  readonly disorder: number;
  /** When the newest packet came, modulo 2^32 us. */
  readonly newestAtUs: number;
  /** How long ago the highest came when this was sent. */
  readonly delayUs: number;
};

export type News = {
  /** Packets, pings included. */
  readonly acked: number;
  /** Of them those that carried a piece. */
  readonly pieces: number;
  /** Pieces to send again. */
  readonly lost: readonly number[];
  /** Losses, pings included. */
  readonly lostPackets: number;
  readonly rttMs: number | undefined;
  /** Packets per ms. */
  readonly rate: number | undefined;
  /** The rate may have been bounded by a lack of data rather than by the path. */
  readonly isAppLimited: boolean;
  /** A round trip has passed since the last round began. */
  readonly isNewRound: boolean;
  readonly flying: number;
  /** Pieces that have arrived so far, and when that was on the receiver's clock: on a slow path pings would look like speed. */
  readonly delivered: number;
  readonly deliveredMs: number;
};

const FLYING = 1;
const ARRIVED = 2;
const LOST = 3;

export interface Scoreboard {
  readonly nextPacket: number;
  /** Pieces on their way. Pings do not count: they may not take the window from what they ask about. */
  readonly flying: number;
  /** Below it everything is decided. */
  readonly floor: number;
  /** No more data until the oldest is decided; pings have numbers left, or nothing would ever be decided. */
  readonly full: boolean;
  readonly isSpent: boolean;
  /** The number of the packet that carries this piece (or PING). */
  send(piece: number, nowMs: number): number;
  /** There was nothing to send though there was room. */
  markAppLimited(): void;
  /** Undefined for a report older than one seen before. */
  hear(report: ArrivalReport, nowMs: number): News | undefined;
}

export function scoreboard(): Scoreboard {
  const size = AHEAD_MAX;
  const slots = {
    piece: new Float64Array(size),
    sentMs: new Float64Array(size),
    /** Delivered when it was sent, and when that was on the receiver's clock. */
    delivered: new Float64Array(size),
    deliveredMs: new Float64Array(size),
    /** When the newest packet known to have arrived at that time had been sent. */
    windowMs: new Float64Array(size),
    state: new Uint8Array(size),
    appLimited: new Uint8Array(size),
  };
  let [nextPacket, floor, flying, highest] = [0, 0, 0, -1];
  let [delivered, deliveredMs, windowMs, roundEnds] = [0, 0, 0, 0];
  let [appLimitedUntil, received, pings] = [-1, 0, 0];
  let [clockUs, latestRttMs] = [Number.NaN, 0];

  /** The receiver's clock wraps every 71 minutes; only differences count. */
  function advanceClock(us: number): void {
    if (!Number.isNaN(clockUs))
      deliveredMs += (((us - clockUs) | 0) >>> 0 > 0x7fff_ffff ? 0 : (us - clockUs) >>> 0) / 1000;
    clockUs = us;
  }

  function judge(report: ArrivalReport): Pick<News, "acked" | "pieces" | "lost" | "lostPackets"> {
    const distance = Math.max(LOSS_DISTANCE, Math.ceil(report.disorder * 1.25));
    const lateMs = slots.sentMs[report.highest % size]! - LATE_ROUND_TRIPS * latestRttMs - LATE_MS;
    const lost: number[] = [];
    let [acked, pieces, lostPackets, packet, arrived] = [0, 0, 0, report.floor, true];
    for (const length of report.runs) {
      const end = Math.min(packet + length, nextPacket);
      for (let each = Math.max(packet, floor); each < end; each += 1) {
        const slot = each % size;
        const isFlying = slots.state[slot] === FLYING;
        const piece = slots.piece[slot]!;
        if (arrived) {
          slots.state[slot] = ARRIVED;
          if (!isFlying) continue;
          acked += 1;
          if (piece !== PING) [pieces, flying] = [pieces + 1, flying - 1];
        } else if (isFlying && (each <= report.highest - distance || slots.sentMs[slot]! < lateMs)) {
          slots.state[slot] = LOST;
          lostPackets += 1;
          if (piece === PING) continue;
          flying -= 1;
          lost.push(piece);
        }
      }
      [packet, arrived] = [packet + length, !arrived];
    }
    while (floor < nextPacket && slots.state[floor % size] !== FLYING) floor += 1;
    return { acked, pieces, lost, lostPackets };
  }

  return {
    get nextPacket() {
      return nextPacket;
    },
    get flying() {
      return flying;
    },
    get floor() {
      return floor;
    },
    get full() {
      return nextPacket - floor >= size / 2;
    },
    get isSpent() {
      return nextPacket - floor >= size - 1;
    },
    markAppLimited() {
      appLimitedUntil = nextPacket;
    },
    send(piece, nowMs) {
      // After silence the next interval starts here: a pause is not slowness.
      if (flying === 0) [windowMs] = [nowMs];
      const slot = nextPacket % size;
      slots.piece[slot] = piece;
      slots.sentMs[slot] = nowMs;
      slots.delivered[slot] = delivered;
      slots.deliveredMs[slot] = deliveredMs;
      slots.windowMs[slot] = windowMs;
      slots.state[slot] = FLYING;
      slots.appLimited[slot] = nextPacket < appLimitedUntil || appLimitedUntil === nextPacket ? 1 : 0;
      if (piece !== PING) flying += 1;
      nextPacket += 1;
      return nextPacket - 1;
    },
    hear(report, nowMs) {
      if (report.highest >= nextPacket || report.received < received || report.highest < highest)
        return undefined;
      const isNews = report.highest > highest;
      advanceClock(report.newestAtUs);
      [received, highest] = [report.received, report.highest];
      const verdict = judge(report);
      pings += verdict.acked - verdict.pieces;
      // The receiver's own count is exact where the runs have no room for all gaps.
      delivered = Math.max(delivered, received - pings);
      const newest = highest % size;
      if (!isNews)
        return {
          ...verdict,
          flying,
          delivered,
          deliveredMs,
          rttMs: undefined,
          rate: undefined,
          isAppLimited: false,
          isNewRound: false,
        };
      windowMs = slots.sentMs[newest]!;
      latestRttMs = Math.max(0.01, nowMs - windowMs - report.delayUs / 1000);
      const isNewRound = highest >= roundEnds;
      if (isNewRound) roundEnds = nextPacket;
      const took = Math.max(
        deliveredMs - slots.deliveredMs[newest]!,
        slots.sentMs[newest]! - slots.windowMs[newest]!,
      );
      const gained = delivered - slots.delivered[newest]!;
      return {
        ...verdict,
        flying,
        delivered,
        deliveredMs,
        rttMs: latestRttMs,
        rate: took > 0.5 && gained > 0 && slots.delivered[newest]! > 0 ? gained / took : undefined,
        isAppLimited: slots.appLimited[newest] === 1,
        isNewRound,
      };
    },
  };
}
