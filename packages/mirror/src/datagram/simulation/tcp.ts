/**
 * TCP flows to compete with: CUBIC (RFC 9438 with fast convergence and HyStart's delay exit) and BBR version 1 as Linux has them, each
 * with selective acknowledgements and an endless supply of data. Simple, and only as true as fairness needs.
 */

import { recentMax } from "../extremes.ts";
import type { Events } from "./events.ts";
import type { SimulatedLink } from "./link.ts";

const PACKET_BYTES = 1500;
const ACK_BYTES = 60;

export type TcpFlow = { readonly delivered: () => number; readonly window: () => number };

type Packet = { readonly number: number; sentMs: number; delivered: number; deliveredMs: number };

type Law = {
  acked(rttMs: number, packet: Packet, nowMs: number, flying: number): void;
  lost(nowMs: number, flying: number, number: number): void;
  readonly window: number;
  /** Packets per ms; Infinity when the acknowledgements are the clock. */
  readonly rate: number;
};

export function tcpFlow(
  events: Events,
  {
    there,
    back,
    startMs,
    law,
  }: { there: SimulatedLink; back: SimulatedLink; startMs: number; law: "cubic" | "bbr" },
): TcpFlow {
  let [next, delivered, deliveredMs, highest, paceAt, pumpSet] = [0, 0, 0, -1, 0, false];
  const flying = new Map<number, Packet>();
  const control = law === "cubic" ? cubicLaw(() => next) : bbrLaw(() => delivered);
  let lastHeard = startMs;

  function arrived(packet: Packet): void {
    back.send(ACK_BYTES, () => acknowledged(packet));
  }

  function acknowledged(packet: Packet): void {
    lastHeard = events.nowMs;
    if (!flying.delete(packet.number)) return;
    delivered += 1;
    deliveredMs = events.nowMs;
    highest = Math.max(highest, packet.number);
    control.acked(events.nowMs - packet.sentMs, packet, events.nowMs, flying.size);
    for (const number of flying.keys()) {
      if (number >= highest - 3) break;
      flying.delete(number);
      control.lost(events.nowMs, flying.size, number);
    }
    pump();
  }

  function pump(): void {
    while (flying.size < control.window) {
      if (paceAt > events.nowMs) {
        if (!pumpSet) {
          pumpSet = true;
          events.at(paceAt, () => {
            pumpSet = false;
            pump();
          });
        }
        return;
      }
      if (Number.isFinite(control.rate)) paceAt = Math.max(paceAt, events.nowMs - 1) + 1 / control.rate;
      const packet = {
        number: next++,
        sentMs: events.nowMs,
        delivered,
        deliveredMs: deliveredMs || events.nowMs,
      };
      flying.set(packet.number, packet);
      there.send(PACKET_BYTES, () => arrived(packet));
    }
  }

  /** Tail loss: if nothing was heard for long, everything in flight is lost. */
  function watch(): void {
    if (events.nowMs - lastHeard > 1000) {
      for (const number of [...flying.keys()]) flying.delete(number);
      control.lost(events.nowMs, 0, next);
      lastHeard = events.nowMs;
      pump();
    }
    events.at(events.nowMs + 200, watch);
  }

  events.at(startMs, pump);
  events.at(startMs + 200, watch);
  return { delivered: () => delivered, window: () => control.window };
}

function cubicLaw(nextNumber: () => number): Law {
  let [window, threshold, peak, epochMs, turnS, recoverFrom] = [
    10,
    Number.POSITIVE_INFINITY,
    0,
    Number.NaN,
    0,
    -1,
  ];
  let minRtt = Number.POSITIVE_INFINITY;
  let reno = 0;
  return {
    acked(rttMs, packet, nowMs) {
      minRtt = Math.min(minRtt, rttMs);
      if (packet.number < recoverFrom) return;
      if (window < threshold) {
        window += 1;
        if (window > 16 && rttMs > minRtt + Math.min(16, Math.max(4, minRtt / 8))) threshold = window;
        return;
      }
      if (Number.isNaN(epochMs)) {
        epochMs = nowMs;
        if (peak < window) [peak, turnS] = [window, 0];
        else turnS = Math.cbrt((peak - window) / 0.4);
        reno = window;
      }
      const seconds = (nowMs - epochMs + minRtt) / 1000;
      const target = Math.min(0.4 * (seconds - turnS) ** 3 + peak, window * 1.5);
      reno += 0.9 / 1.7 / window;
      if (target > window) window += (target - window) / window;
      else window += 0.01 / window;
      if (reno > window) window = reno;
    },
    lost(_nowMs, _flying, number) {
      if (number < recoverFrom) return;
      recoverFrom = nextNumber();
      peak = window < peak ? window * 0.85 : window;
      window = Math.max(2, window * 0.7);
      threshold = window;
      epochMs = Number.NaN;
    },
    get window() {
      return window;
    },
    rate: Number.POSITIVE_INFINITY,
  };
}

function bbrLaw(deliveredNow: () => number): Law {
  const gains = [1.25, 0.75, 1, 1, 1, 1, 1, 1];
  const rates = recentMax(10);
  let [round, roundEnd, minRtt, minRttAt] = [0, 0, Number.POSITIVE_INFINITY, 0];
  let [full, fullRounds, mode, phase, phaseAt, probeUntil] = [0, 0, "startup", 2, 0, 0];
  const bw = () => rates.value ?? 0;
  return {
    acked(rttMs, packet, nowMs, flying) {
      const expired = nowMs - minRttAt > 10_000;
      if (rttMs <= minRtt || expired) {
        minRtt = rttMs;
        minRttAt = nowMs;
      }
      const took = nowMs - packet.deliveredMs;
      const newRound = packet.delivered >= roundEnd;
      if (newRound) {
        round += 1;
        roundEnd = deliveredNow();
      }
      if (took > 1 && packet.delivered > 0) rates.add((deliveredNow() - packet.delivered) / took, round);
      if (mode === "startup" && newRound) {
        if (bw() > full * 1.25) [full, fullRounds] = [bw(), 0];
        else if (++fullRounds >= 3) mode = "drain";
      }
      if (mode === "drain" && flying <= bw() * minRtt) [mode, phase, phaseAt] = ["bw", 2, nowMs];
      if (mode === "bw") {
        const elapsed = nowMs - phaseAt;
        const done =
          phase === 0
            ? elapsed > minRtt && flying >= 1.25 * bw() * minRtt
            : phase === 1
              ? elapsed > minRtt || flying <= bw() * minRtt
              : elapsed > minRtt;
        if (done || (phase === 0 && elapsed > 3 * minRtt)) [phase, phaseAt] = [(phase + 1) % 8, nowMs];
      }
      if (mode === "rtt") {
        if (probeUntil === 0 && flying <= 4) probeUntil = nowMs + 200;
        if (probeUntil > 0 && nowMs > probeUntil) {
          minRttAt = nowMs;
          [mode, phase, phaseAt] = [fullRounds >= 3 ? "bw" : "startup", 2, nowMs];
        }
      } else if (expired) [mode, probeUntil] = ["rtt", 0];
    },
    lost: () => undefined,
    get window() {
      if (mode === "rtt") return 4;
      const bdp = bw() * (Number.isFinite(minRtt) ? minRtt : 0);
      return Math.max(10, (mode === "startup" ? 2.89 : 2) * bdp + 4);
    },
    get rate() {
      const b = bw();
      if (b === 0) return Number.POSITIVE_INFINITY;
      return b * (mode === "startup" ? 2.89 : mode === "drain" ? 0.35 : mode === "rtt" ? 1 : gains[phase]!);
    },
  };
}
