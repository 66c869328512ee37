/** A transfer of ours on a simulated link: the true dispatch and arrivals, with timers as late as Node's are. */

import { type Dispatch, dispatch } from "../dispatch.ts";
import { type Arrivals, arrivals } from "../runs.ts";
import { PING } from "../scoreboard.ts";
import type { Events } from "./events.ts";
import type { SimulatedLink } from "./link.ts";

const PACKET_BYTES = 1500;
const REPORT_BYTES = 200;
const PUMP_MS = 1.16;

export type OurFlow = {
  readonly dispatch: Dispatch;
  /** Pieces that have arrived, each once. */
  readonly received: () => number;
  readonly duplicates: () => number;
  readonly done: () => boolean;
  readonly doneMs: () => number;
};

export function ourFlow(
  events: Events,
  {
    there,
    back,
    pieces,
    startMs,
    rttMs,
  }: { there: SimulatedLink; back: SimulatedLink; pieces: number; startMs: number; rttMs: number },
): OurFlow {
  const seen: Arrivals = arrivals();
  const got = new Uint8Array(pieces);
  let [next, received, duplicates, doneMs] = [0, 0, 0, 0];
  let [newestAtUs, highestAtMs] = [0, 0];
  const reportMs = () => Math.max(10, Math.min(50, core.congestion.rttMs / 4));
  const core: Dispatch = dispatch(
    {
      fresh: () => (next < pieces ? next++ : undefined),
      isWanted: () => true,
      reportMs: () => (core ? reportMs() : 12),
      rttMs,
    },
    startMs,
  );

  function arrive(packet: number, piece: number, floor: number): void {
    if (piece === PING) seen.raiseFloor(floor);
    const isHighest = packet > seen.highest;
    if (!seen.add(packet)) return;
    newestAtUs = Math.round(events.nowMs * 1000) >>> 0;
    if (isHighest) highestAtMs = events.nowMs;
    if (piece === PING) return;
    if (got[piece]) duplicates += 1;
    else received += 1;
    got[piece] = 1;
    if (received === pieces && doneMs === 0) doneMs = events.nowMs;
  }

  function pump(): void {
    if (doneMs) return;
    const nowMs = events.nowMs;
    for (let out = core.next(nowMs); out; out = core.next(nowMs)) {
      const { packet, piece } = out;
      const floor = core.floor;
      there.send(PACKET_BYTES, () => arrive(packet, piece, floor));
    }
    events.at(nowMs + PUMP_MS, pump);
  }

  function report(): void {
    if (doneMs) return;
    if (seen.highest >= 0) {
      const content = {
        floor: seen.floor,
        highest: seen.highest,
        runs: seen.runs(320),
        received: seen.count,
        disorder: seen.disorder,
        newestAtUs,
        delayUs: Math.round((events.nowMs - highestAtMs) * 1000),
      };
      back.send(REPORT_BYTES, () => core.hear(content, events.nowMs));
    }
    events.at(events.nowMs + reportMs(), report);
  }

  events.at(startMs, pump);
  events.at(startMs, report);
  return {
    dispatch: core,
    received: () => received,
    duplicates: () => duplicates,
    done: () => doneMs > 0,
    doneMs: () => doneMs,
  };
}
