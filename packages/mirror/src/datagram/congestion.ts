/**
 * How fast to send: a model of the path after BBR (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue
 * 14(5), 2016; draft-cardwell-iccrg-bbr-congestion-control). The rate at which data is delivered and the shortest round
 * trip say what the path holds; loss says nothing as long as it is the path's usual one. Where the queue is somebody
 * else's and overflows, a CUBIC window takes over (cubic.ts), so that a TCP flow beside us gets its share.
 *
 * Packets and milliseconds throughout; no clock, no socket.
 */

import { type CubicWindow, cubicWindow } from "./cubic.ts";
import { recentMax, recentMin } from "./extremes.ts";
import type { News } from "./scoreboard.ts";

/** BBR's gains: 2/ln 2 finds any rate in log2 rounds; a quarter more probes, a quarter less drains it again. */
const STARTUP_GAIN = 2.77;
const UP_GAIN = 1.25;
const DOWN_GAIN = 0.75;
/** A little below what was measured, so that a queue drains between two probes. */
const CRUISE_GAIN = 0.99;
const WINDOW_GAIN = 2;
/** Beside a flow that fills the queue, ours has to lie in the queue as well. */
const CONTEND_GAIN = 4;
/** Beside a flow that keeps a queue without filling it, as BBR does. */
const CROWD_GAIN = 2.5;
const CROWD_ROUNDS = 16;
/** The window decides there, not the pace. */
const CONTEND_PACE = 1.2;
const CRUISE_ROUNDS = 6;
const WINDOW_FIRST = 64;
const WINDOW_MIN = 8;
/** What a timer of ours may come late. */
const TIMER_MS = 4;
const RATE_ROUNDS = 10;
/** Startup ends when the rate grew by less than this in three rounds. */
const GROWTH = 1.25;
const FLAT_ROUNDS = 3;
const RTT_SPAN_MS = 10_000;
const RTT_PROBE_MS = 100;
const RTT_PROBE_GAIN = 0.5;
/** The share of packets lost anyway, learned while the queue is short. */
const LOSS_WEIGHT = 0.15;
const LOSS_BASE_MAX = 0.15;
/** So much beyond the usual, and the rate we believe in is no longer there. */
const COLLAPSE_LOSS = 0.25;
/** Losses by congestion: this many deviations above the usual. */
const LOSS_DEVIATIONS = 4;
/** A queue that stays short for so long has nobody else in it. */
const CALM_MS = 2_000;
const QUEUE_SHORT_MS = 3;
const QUEUE_SHORT_SHARE = 0.12;

export type Phase = "startup" | "drain" | "up" | "down" | "cruise" | "rtt";

export type CongestionOptions = {
  /** How often reports come: what is in flight only because nobody has reported it yet. */
  readonly reportMs: () => number;
  /** From the probe: a first guess. */
  readonly rttMs: number;
};

export interface Congestion {
  hear(news: News, nowMs: number): void;
  /** Packets per ms. */
  readonly rate: number;
  /** Packets that may be in flight. */
  readonly window: number;
  readonly rttMs: number;
  readonly minRttMs: number;
  readonly lossShare: number;
  readonly phase: Phase;
  readonly contending: boolean;
}

type Round = { acked: number; lost: number; rttSum: number; rttCount: number };

export function congestion({ reportMs, rttMs: firstRttMs }: CongestionOptions, startMs: number): Congestion {
  const rates = recentMax(RATE_ROUNDS);
  const recent = recentMin(CROWD_ROUNDS);
  const calmest = recentMin(RTT_SPAN_MS);
  const busiest = recentMax(RTT_SPAN_MS);
  const lately = recentMin(3);
  let reports = 0;
  let calmSinceMs = startMs;
  let phase: Phase = "startup";
  let phaseSince = { round: 0, ms: startMs, rate: 0 };
  let round = 0;
  let judgeFrom = 0;
  let current: Round = { acked: 0, lost: 0, rttSum: 0, rttCount: 0 };
  let [srttMs, minRttMs, minRttAtMs] = [firstRttMs, Number.POSITIVE_INFINITY, startMs];
  let [plateau, flatRounds] = [0, 0];
  let [lossBase, lossDeviation] = [0, 0];
  let cubic: CubicWindow | undefined;
  let [nowMs, flying, probedMinMs] = [startMs, 0, Number.POSITIVE_INFINITY];

  const bandwidth = () => rates.value ?? WINDOW_FIRST / firstRttMs;
  const minRtt = () => (Number.isFinite(minRttMs) ? minRttMs : firstRttMs);
  const bdp = () => bandwidth() * minRtt();
  const unreported = () => bandwidth() * (reportMs() + TIMER_MS);
  const alive = () => 1 - lossBase;

  function enter(next: Phase): void {
    phase = next;
    phaseSince = { round, ms: nowMs, rate: bandwidth() };
    // What we overfilled ourselves is nobody else's queue.
    if (next === "drain") judgeFrom = round + 3;
    if (next === "startup") [plateau, flatRounds] = [bandwidth(), 0];
    if (next === "rtt") probedMinMs = Number.POSITIVE_INFINITY;
  }

  function hearRtt(rttMs: number): void {
    srttMs += (rttMs - srttMs) / 8;
    current.rttSum += rttMs;
    current.rttCount += 1;
    lately.add(rttMs, reports);
    reports += 1;
    if (phase === "rtt") probedMinMs = Math.min(probedMinMs, rttMs);
    if (rttMs <= minRttMs + Math.max(0.7, minRttMs / 64)) minRttAtMs = nowMs;
    minRttMs = Math.min(minRttMs, rttMs);
  }

  function endRound(): void {
    round += 1;
    const { acked, lost, rttSum, rttCount } = current;
    current = { acked: 0, lost: 0, rttSum: 0, rttCount: 0 };
    const sent = acked + lost;
    if (sent === 0 || rttCount === 0) return;
    const meanMs = rttSum / rttCount;
    recent.add(meanMs, round);
    calmest.add(meanMs, nowMs);
    busiest.add(meanMs, nowMs);
    const [low, high] = [calmest.value!, busiest.value!];
    const share = lost / sent;
    const excess = share - lossBase;
    if (round >= judgeFrom) {
      const spread = high - low;
      const unusual =
        LOSS_DEVIATIONS * Math.max(lossDeviation, Math.sqrt((lossBase * (1 - lossBase)) / sent)) + 0.5 / sent;
      const crowded = spread > Math.max(5, low / 10) && meanMs > low + spread / 2;
      if (excess > (cubic ? 2 : 1) * COLLAPSE_LOSS) collapse();
      else if (excess > unusual && crowded && phase !== "startup") yieldTo();
    }
    if (meanMs < low + Math.max(QUEUE_SHORT_MS, low * QUEUE_SHORT_SHARE)) {
      if (nowMs - calmSinceMs > CALM_MS) cubic = undefined;
      lossDeviation += LOSS_WEIGHT * (Math.abs(excess) - lossDeviation);
      lossBase = Math.min(LOSS_BASE_MAX, Math.max(0, lossBase + LOSS_WEIGHT * excess));
    } else calmSinceMs = nowMs;
    if (phase === "startup") watchGrowth(meanMs);
  }

  /** The path has become another one: what was measured before is of no use. */
  function collapse(): void {
    rates.reset(lastRate, round);
    cubic = undefined;
    enter("drain");
  }

  function yieldTo(): void {
    cubic = cubicWindow(flying, srttMs, nowMs, cubic);
    judgeFrom = round + 2;
    if (phase !== "rtt") enter("cruise");
  }

  function watchGrowth(meanMs: number): void {
    if (bandwidth() >= plateau * GROWTH) {
      [plateau, flatRounds] = [bandwidth(), 0];
      return;
    }
    flatRounds += 1;
    if (flatRounds >= FLAT_ROUNDS || meanMs > minRtt() * 1.5) enter("drain");
  }

  let lastRate = 0;

  function step(): void {
    const elapsedMs = nowMs - phaseSince.ms;
    const drained = flying <= (bdp() + bandwidth() * (reportMs() / 2 + 1)) / alive();
    switch (phase) {
      case "startup":
        if (lately.value! > minRtt() * 1.25 + 4) enter("drain");
        break;
      case "drain":
        if (drained || elapsedMs > 3 * srttMs) enter("cruise");
        break;
      case "up":
        if ((elapsedMs > minRtt() && flying >= (UP_GAIN * bdp()) / alive()) || elapsedMs > 2 * srttMs) {
          enter(bandwidth() > phaseSince.rate * 1.2 ? "startup" : "down");
        }
        break;
      case "down":
        if (drained || elapsedMs > 3 * minRtt()) enter("cruise");
        break;
      case "cruise":
        if (nowMs - minRttAtMs > RTT_SPAN_MS) enter("rtt");
        else if (!contending() && round - phaseSince.round >= CRUISE_ROUNDS) enter("up");
        break;
      case "rtt":
        if (elapsedMs > Math.max(RTT_PROBE_MS, srttMs + 2 * reportMs())) {
          if (probedMinMs < (calmest.value ?? 0) * 1.1) cubic = undefined;
          if (Number.isFinite(probedMinMs)) minRttMs = probedMinMs;
          minRttAtMs = nowMs;
          enter("cruise");
        }
        break;
    }
  }

  function ownWindow(): number {
    const slack = unreported();
    switch (phase) {
      case "rtt":
        return (RTT_PROBE_GAIN * bdp()) / alive();
      case "startup":
        return Math.max(WINDOW_FIRST, (STARTUP_GAIN * bdp() + slack) / alive());
      case "drain":
      case "up":
      case "down":
      case "cruise":
        return (windowGain() * bdp() + slack) / alive();
    }
  }

  function windowGain(): number {
    if (cubic) return CONTEND_GAIN;
    return recent.value! > minRtt() * 1.2 + 4 ? CROWD_GAIN : WINDOW_GAIN;
  }

  const contending = () => cubic !== undefined;

  function gain(): number {
    switch (phase) {
      case "startup":
        return STARTUP_GAIN;
      case "drain":
        return 1 / STARTUP_GAIN;
      case "up":
        return UP_GAIN;
      case "down":
        return DOWN_GAIN;
      case "rtt":
      case "cruise":
        return CRUISE_GAIN;
    }
  }

  return {
    hear(news, atMs) {
      nowMs = atMs;
      flying = news.flying;
      current.acked += news.acked;
      current.lost += news.lostPackets;
      if (news.rttMs !== undefined) hearRtt(news.rttMs);
      if (news.rate !== undefined) {
        lastRate = news.rate;
        if (!news.isAppLimited || news.rate > bandwidth()) rates.add(news.rate, round);
      }
      if (news.isNewRound) endRound();
      step();
    },
    get rate() {
      const own = (gain() * bandwidth()) / alive();
      if (!cubic || phase === "rtt") return own;
      return Math.max(own, (CONTEND_PACE * cubic.at(nowMs)) / srttMs);
    },
    get window() {
      const own = Math.max(WINDOW_MIN, ownWindow());
      return cubic ? Math.min(own, cubic.at(nowMs) + unreported()) : own;
    },
    get rttMs() {
      return srttMs;
    },
    get minRttMs() {
      return minRtt();
    },
    get lossShare() {
      return lossBase;
    },
    get phase() {
      return phase;
    },
    get contending() {
      return contending();
    },
  };
}
