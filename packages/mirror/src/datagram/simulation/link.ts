/**
 * One direction of a simulated link: loss before a drop-tail queue of a given depth, rate, delay, jitter and disorder.
 * The same order of events as bench/linkemu.c; every chance comes from the seeded random passed in.
 */

import type { Events } from "./events.ts";

export type LinkShape = {
  readonly mbps: number;
  readonly delayMs: number;
  readonly queueMs: number;
  /** Share of packets lost, and how many in a row on average. */
  readonly loss?: number;
  readonly burst?: number;
  /** Extra delay, evenly up to this, without overtaking. */
  readonly jitterMs?: number;
  /** Share of packets held back by `heldMs`: those behind overtake. */
  readonly disorder?: number;
  readonly heldMs?: number;
};

/** What a frame costs on the wire beyond IP: Ethernet header, check sum, preamble and gap. */
const FRAME_OVERHEAD = 38;

export interface SimulatedLink {
  send(bytes: number, arrive: () => void): void;
  /** Multiplies the rate. */
  scale(factor: number): void;
  readonly dropped: number;
  readonly queueMs: { mean: number; max: number };
}

export function simulatedLink(events: Events, shape: LinkShape, random: () => number): SimulatedLink {
  const { delayMs, queueMs, loss = 0, burst = 1, jitterMs = 0, disorder = 0, heldMs = 0 } = shape;
  let bytesPerMs = (shape.mbps * 1000) / 8;
  let [freeAt, lastArrival, burstLeft, dropped] = [0, 0, 0, 0];
  let [queueSum, queueCount, queueMax] = [0, 0, 0];

  function isLost(): boolean {
    if (burstLeft > 0) {
      burstLeft -= 1;
      return true;
    }
    if (loss === 0 || random() >= loss / burst) return false;
    while (burst > 1 && random() < 1 - 1 / burst) burstLeft += 1;
    return true;
  }

  return {
    send(bytes, arrive) {
      if (isLost()) return;
      const waits = Math.max(0, freeAt - events.nowMs);
      queueSum += waits;
      queueCount += 1;
      queueMax = Math.max(queueMax, waits);
      if (waits > queueMs) {
        dropped += 1;
        return;
      }
      freeAt = events.nowMs + waits + (bytes + FRAME_OVERHEAD) / bytesPerMs;
      let arrival = freeAt + delayMs + random() * jitterMs;
      if (disorder > 0 && random() < disorder) arrival += heldMs;
      else {
        arrival = Math.max(arrival, lastArrival);
        lastArrival = arrival;
      }
      events.at(arrival, arrive);
    },
    scale(factor) {
      bytesPerMs *= factor;
      freeAt = events.nowMs + Math.max(0, freeAt - events.nowMs) / factor;
    },
    get dropped() {
      return dropped;
    },
    get queueMs() {
      return { mean: queueSum / Math.max(1, queueCount), max: queueMax };
    },
  };
}
