/**
 * How fast to send: a model of the path after BBR (Cardwell et al., "BBR: Congestion-Based Congestion Control", ACM Queue
 * 14(5), 2016; draft-cardwell-iccrg-bbr-congestion-control). The rate at which data is delivered and the shortest round
 * trip say what the path holds; loss says nothing as long as it is the path's usual one. Where the queue is somebody
 * else's and overflows, a CUBIC window takes over (cubic.ts), so that a TCP flow beside us gets its share.
 *
 * One thing differs from BBR, because a thread of ours is late more often than a kernel: alone on the path the rate is
 * the mean of a whole cycle and not the maximum of short samples, which on a busy machine is always too high. That a
 * path has become faster shows in a queue that does not grow while we send a quarter more.
 *
 * Packets and milliseconds throughout; no clock, no socket.
 */

import { company } from "./company.ts";
import { recentMax, recentMin } from "./extremes.ts";
import type { News } from "./scoreboard.ts";
import { usualLoss } from "./usual-loss.ts";

/** BBR's gains: 2/ln 2 finds any rate in log2 rounds; a quarter more probes, a quarter less drains it again. */
const STARTUP_GAIN = 2.77;
const UP_GAIN = 1.25;
const DOWN_GAIN = 0.75;
/** A little below what was measured, so that a queue drains between two probes. */
const CRUISE_GAIN = 1.02;
/** Before the mean of a cycle is known there is only the greatest of short samples, which is too high. */
const FIRST_GAIN = 0.93;
const WINDOW_GAIN = 2;
/** Beside others the window decides, and the pace has to let it. */
const CROWD_PACE = 1.25;
/** Round trips in which our part of a queue is gone: only then what is left of it is known to be somebody else's. */
const DRAIN_ALONE = 3;
const DRAIN_CROWDED = 8;
/** Beside a flow that fills the queue the window decides, not the pace. */
const CONTEND_PACE = 1.2;
const CRUISE_ROUNDS = 4;
const LOOK_ROUNDS = 16;
const WINDOW_FIRST = 64;
const WINDOW_MIN = 8;
/** What a timer of ours may come late. */
const TIMER_MS = 4;
/** On a shorter way what we measure is our own threads. */
const RTT_FLOOR_MS = 4;
const RATE_ROUNDS = 10;
/** Startup ends when the rate grew by less than this in three rounds. */
const GROWTH = 1.25;
const FLAT_ROUNDS = 3;
const RTT_SPAN_MS = 10_000;
const RTT_PROBE_MS = 100;
const RTT_PROBE_GAIN = 0.5;
const RTT_RISEN = 1.1;
/** So much beyond the usual, and the rate we believe in is no longer there. */
const COLLAPSE_LOSS = 0.25;
/** Fewer in a round than this say nothing about it. */
const ROUND_PACKETS_MIN = 12;
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
  /** Our own thread did not run in time: what is delivered now says how busy this machine is, and not what the path carries. */
  late(): void;
  /** Packets per ms. */
  readonly rate: number;
  /** Packets that may be in flight. */
  readonly window: number;
  readonly rttMs: number;
  readonly minRttMs: number;
  readonly lossShare: number;
  readonly phase: Phase;
  /** Beside a flow that fills the queue. */
  readonly contending: boolean;
}

type Round = {
  acked: number;
  lost: number;
  rttSum: number;
  rttCount: number;
  rttLeast: number;
  rate: number;
};

const ROUND_EMPTY: Round = {
  acked: 0,
  lost: 0,
  rttSum: 0,
  rttCount: 0,
  rttLeast: Number.POSITIVE_INFINITY,
  rate: 0,
};

export function congestion({ reportMs, rttMs: firstRttMs }: CongestionOptions, startMs: number): Congestion {
  const rates = recentMax(RATE_ROUNDS);
  const lately = recentMin(3);
  const others = company();
  const usual = usualLoss();
  const calmest = recentMin(RTT_SPAN_MS);
  const busiest = recentMax(RTT_SPAN_MS);
  let phase: Phase = "startup";
  let phaseSince = { round: 0, ms: startMs };
  let [round, judgeFrom, reports] = [0, 0, 0];
  let current: Round = { ...ROUND_EMPTY };
  let [srttMs, minRttMs, minRttAtMs] = [firstRttMs, Number.POSITIVE_INFINITY, startMs];
  let [plateau, flatRounds] = [0, 0];
  let [calmSinceMs, isCollapsed] = [startMs, false];
  let [nowMs, flying, lastRate, probedMinMs] = [startMs, 0, 0, Number.POSITIVE_INFINITY];
  /** Where the present cycle began, and the mean rate of the last whole one. */
  let cycle: { readonly delivered: number; readonly atMs: number } | undefined;
  let steady: number | undefined;
  let arrived = { delivered: 0, atMs: 0 };
  /** Rounds up to this one had a pause of ours in them. */
  let lateUntil = -1;

  const minRtt = () => Math.max(RTT_FLOOR_MS, Number.isFinite(minRttMs) ? minRttMs : firstRttMs);
  const shortQueue = () => Math.max(QUEUE_SHORT_MS, minRtt() * QUEUE_SHORT_SHARE);
  const isCrowded = () => others.cubic !== undefined || others.isCrowded(minRtt());
  const bandwidth = () => {
    const best = rates.value ?? WINDOW_FIRST / firstRttMs;
    return steady === undefined || isCrowded() ? best : steady;
  };
  const bdp = () => bandwidth() * minRtt();
  const unreported = () => bandwidth() * (reportMs() + TIMER_MS);
  const alive = () => 1 - usual.share;

  function enter(next: Phase): void {
    phase = next;
    phaseSince = { round, ms: nowMs };
    switch (next) {
      case "startup":
        [plateau, flatRounds, cycle, steady] = [bandwidth(), 0, undefined, undefined];
        break;
      case "drain":
        // What we overfilled ourselves is nobody else's queue.
        judgeFrom = round + 3;
        [cycle, steady] = [undefined, undefined];
        break;
      case "up":
        endCycle();
        break;
      case "rtt":
        [cycle, probedMinMs] = [undefined, Number.POSITIVE_INFINITY];
        break;
      case "down":
      case "cruise":
        cycle ??= arrived;
        break;
    }
  }

  function endCycle(): void {
    if (cycle && arrived.atMs > cycle.atMs) {
      steady = (arrived.delivered - cycle.delivered) / (arrived.atMs - cycle.atMs);
      others.hearCycle(steady, { minRttMs: minRtt(), nowMs });
    }
    cycle = arrived;
  }

  function hearRtt(rttMs: number): void {
    srttMs += (rttMs - srttMs) / 8;
    current.rttSum += rttMs;
    current.rttCount += 1;
    current.rttLeast = Math.min(current.rttLeast, rttMs);
    lately.add(rttMs, reports);
    reports += 1;
    if (phase === "rtt") probedMinMs = Math.min(probedMinMs, rttMs);
    if (rttMs <= minRttMs + Math.max(0.7, minRttMs / 64)) minRttAtMs = nowMs;
    minRttMs = Math.min(minRttMs, rttMs);
  }

  function endRound(): void {
    round += 1;
    const ended = current;
    current = { ...ROUND_EMPTY };
    const sent = ended.acked + ended.lost;
    if (sent === 0 || ended.rttCount === 0) return;
    const meanMs = ended.rttSum / ended.rttCount;
    others.hearRound(ended.rttLeast, round);
    calmest.add(meanMs, nowMs);
    busiest.add(meanMs, nowMs);
    judgeLoss({ sent, share: ended.lost / sent, meanMs });
    if (phase === "startup") watchGrowth(ended.rttLeast);
    if (phase === "up") probeOn(ended);
  }

  function judgeLoss({ sent, share, meanMs }: { sent: number; share: number; meanMs: number }): void {
    const [low, high] = [calmest.value!, busiest.value!];
    const excess = usual.excess(share);
    if (round >= judgeFrom) {
      const spread = high - low;
      const crowded = spread > Math.max(5, low / 10) && meanMs > low + spread / 2;
      // Few packets in a round, and a lost one is a great share: by that alone a slow pace would become slower for ever.
      const isUnusual = usual.isUnusual(excess, sent);
      if (sent >= ROUND_PACKETS_MIN && excess > (others.cubic ? 2 : 1) * COLLAPSE_LOSS) collapse();
      else if (isUnusual && crowded && phase !== "startup") yieldTo();
    }
    if (meanMs < low + Math.max(QUEUE_SHORT_MS, low * QUEUE_SHORT_SHARE)) {
      if (nowMs - calmSinceMs > CALM_MS) others.release();
      usual.learn(excess);
    } else calmSinceMs = nowMs;
  }

  /** The path has become another one: what was measured before is of no use. */
  function collapse(): void {
    rates.reset(lastRate, round);
    others.forget();
    isCollapsed = true;
    enter("drain");
  }

  function yieldTo(): void {
    others.yieldTo({ flying, rate: bandwidth(), rttMs: srttMs, minRttMs: minRtt(), nowMs });
    judgeFrom = round + 2;
    if (phase !== "rtt") enter("cruise");
  }

  function watchGrowth(leastMs: number): void {
    if (bandwidth() >= plateau * GROWTH) {
      [plateau, flatRounds] = [bandwidth(), 0];
      return;
    }
    flatRounds += 1;
    if (flatRounds >= FLAT_ROUNDS || leastMs > minRtt() * 1.5) enter("drain");
  }

  /** Goes on as long as a quarter more makes no queue: then the path carries more than we knew. */
  function probeOn({ rttLeast, rate }: Round): void {
    if (round - phaseSince.round < 2) return;
    if (rttLeast >= minRtt() + shortQueue() || rate <= bandwidth()) {
      enter("down");
      return;
    }
    steady = rate;
    // Twice in a row is not a little more, it is another path.
    if (round - phaseSince.round > 2) enter("startup");
  }

  function step(): void {
    const elapsedMs = nowMs - phaseSince.ms;
    const drained = flying <= (bdp() + bandwidth() * (reportMs() / 2 + 1)) / alive();
    switch (phase) {
      case "startup":
        if (lately.value! > minRtt() * 1.25 + 4) enter("drain");
        break;
      case "drain":
        if (drained || elapsedMs > 3 * srttMs) {
          // What came through while the queue ran empty is what the new path carries.
          if (isCollapsed) rates.reset(Math.min(bandwidth(), Math.max(current.rate, lastRate)), round);
          isCollapsed = false;
          enter("cruise");
        }
        break;
      case "up":
        // In somebody else's queue a long round trip says nothing about our pace.
        if (!isCrowded() && lately.value! > minRtt() * UP_GAIN + 4) enter("down");
        break;
      case "down":
        // Ours is gone and the queue with it: nobody else was in it.
        if (drained && lately.value! < minRtt() + shortQueue()) others.release();
        if (drained || elapsedMs > (isCrowded() ? DRAIN_CROWDED : DRAIN_ALONE) * minRtt()) enter("cruise");
        break;
      case "cruise":
        if (nowMs - minRttAtMs > RTT_SPAN_MS) enter("rtt");
        else if (others.cubic) lookIfDue();
        else if (round - phaseSince.round >= CRUISE_ROUNDS) enter("up");
        break;
      case "rtt":
        if (elapsedMs > Math.max(RTT_PROBE_MS, srttMs + 2 * reportMs())) {
          if (probedMinMs < (calmest.value ?? 0) * 1.1) others.release();
          if (Number.isFinite(probedMinMs)) {
            if (probedMinMs > minRttMs * RTT_RISEN) others.suspect();
            minRttMs = probedMinMs;
          }
          minRttAtMs = nowMs;
          enter("cruise");
        }
        break;
    }
  }

  /** Beside a flow that fills the queue there is nothing to probe for; but it may have gone. */
  function lookIfDue(): void {
    if (round - phaseSince.round >= LOOK_ROUNDS) enter("down");
  }

  function ownWindow(): number {
    switch (phase) {
      case "rtt":
        return RTT_PROBE_GAIN * bdp();
      case "startup":
        return Math.max(WINDOW_FIRST, STARTUP_GAIN * bdp() + unreported());
      case "drain":
      case "up":
      case "down":
      case "cruise":
        return (isCrowded() ? others.gain(bandwidth()) : WINDOW_GAIN) * bdp() + unreported();
    }
  }

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
      case "cruise":
        if (isCrowded()) return CROWD_PACE;
        return steady === undefined ? FIRST_GAIN : CRUISE_GAIN;
      case "rtt":
        return CRUISE_GAIN;
    }
  }

  return {
    hear(news, atMs) {
      nowMs = atMs;
      flying = news.flying;
      arrived = { delivered: news.delivered, atMs: news.deliveredMs };
      current.acked += news.acked;
      current.lost += news.lostPackets;
      if (news.rttMs !== undefined) hearRtt(news.rttMs);
      if (news.rate !== undefined) {
        lastRate = news.rate;
        current.rate = Math.max(current.rate, news.rate);
        const saysLittle = news.isAppLimited || round <= lateUntil;
        if (!saysLittle || news.rate > bandwidth()) rates.add(news.rate, round);
      }
      // A cycle in which there was nothing to send says nothing about the path.
      if (news.isAppLimited) cycle = undefined;
      if (news.isNewRound) endRound();
      step();
    },
    late() {
      [cycle, lateUntil] = [undefined, round + 1];
    },
    get rate() {
      const own = (gain() * bandwidth()) / alive();
      const ceiling = others.ceiling(bandwidth(), nowMs);
      if (ceiling === undefined || phase === "rtt") return own;
      return Math.max(own, (CONTEND_PACE * ceiling) / srttMs);
    },
    get window() {
      const own = Math.max(WINDOW_MIN, ownWindow() / alive());
      const ceiling = others.ceiling(bandwidth(), nowMs);
      return ceiling === undefined ? own : Math.min(own, Math.max(WINDOW_MIN, ceiling + unreported()));
    },
    get rttMs() {
      return srttMs;
    },
    get minRttMs() {
      return minRtt();
    },
    get lossShare() {
      return usual.share;
    },
    get phase() {
      return phase;
    },
    get contending() {
      return others.cubic !== undefined;
    },
  };
}
