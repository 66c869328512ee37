/**
 * A transfer of ours on a simulated link: the true dispatch and arrivals, in threads that are as late as Node's are and
 * now and then do not run at all, because the machine does something else.
 */

import { type Dispatch, dispatch } from "../dispatch.ts";
import { arrivals } from "../runs.ts";
import { PING } from "../scoreboard.ts";
import type { Events } from "./events.ts";
import type { SimulatedLink } from "./link.ts";

const PACKET_BYTES = 1500;
const PING_BYTES = 60;
const REPORT_BYTES = 200;
const PUMP_MS = 1.16;
const RUNS = 320;

export type Machine = {
  /** Mean time between pauses of a thread, and their mean length; both are random. */
  readonly pauseEveryMs: number;
  readonly pauseMs: number;
};

export type OurFlow = {
  readonly dispatch: Dispatch;
  /** Pieces that have arrived, each once. */
  readonly received: () => number;
  readonly duplicates: () => number;
  readonly done: () => boolean;
  readonly doneMs: () => number;
};

/** Runs work at once, or after the pause it falls into. */
export function simulatedThread(
  events: Events,
  { pauseEveryMs, pauseMs }: Machine,
  random: () => number,
): (work: () => void) => void {
  let runsAgainMs = 0;
  const exponential = (mean: number) => -Math.log(1 - random()) * mean;
  const pause = () => {
    runsAgainMs = events.nowMs + exponential(pauseMs);
    events.at(runsAgainMs + exponential(pauseEveryMs), pause);
  };
  if (pauseMs > 0) events.at(exponential(pauseEveryMs), pause);
  return (work) => {
    if (events.nowMs >= runsAgainMs) work();
    else events.at(runsAgainMs, work);
  };
}

export function ourFlow(
  events: Events,
  options: {
    readonly there: SimulatedLink;
    readonly back: SimulatedLink;
    readonly pieces: number;
    readonly startMs: number;
    readonly rttMs: number;
    readonly random: () => number;
    readonly machine?: Machine;
  },
): OurFlow {
  const { there, back, pieces, startMs, rttMs, random, machine = { pauseEveryMs: 1, pauseMs: 0 } } = options;
  const seen = arrivals();
  const got = new Uint8Array(pieces);
  const sender = simulatedThread(events, machine, random);
  const receiver = simulatedThread(events, machine, random);
  let [next, received, duplicates, doneMs] = [0, 0, 0, 0];
  let [newestAtMs, highestAtMs, reportedAtMs] = [0, 0, 0];
  const reportMs = (): number => Math.max(10, Math.min(50, core.congestion.rttMs / 4));
  let core: Dispatch;
  core = dispatch(
    {
      fresh: () => (next < pieces ? next++ : undefined),
      isWanted: () => true,
      reportMs: () => (core ? reportMs() : 10),
      rttMs,
    },
    startMs,
  );

  function arrive(packet: number, piece: number, floor: number): void {
    if (piece === PING) seen.raiseFloor(floor);
    const isHighest = packet > seen.highest;
    if (!seen.add(packet)) return;
    newestAtMs = events.nowMs;
    if (isHighest) highestAtMs = events.nowMs;
    reportIfDue();
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
      there.send(piece === PING ? PING_BYTES : PACKET_BYTES, () =>
        receiver(() => arrive(packet, piece, floor)),
      );
    }
    events.at(nowMs + PUMP_MS, () => sender(pump));
  }

  function reportIfDue(): void {
    const nowMs = events.nowMs;
    if (seen.highest < 0 || nowMs - reportedAtMs < reportMs()) return;
    reportedAtMs = nowMs;
    const content = {
      floor: seen.floor,
      highest: seen.highest,
      runs: seen.runs(RUNS),
      received: seen.count,
      disorder: seen.disorder,
      newestAtUs: Math.round(newestAtMs * 1000) % 2 ** 32,
      delayUs: Math.round((nowMs - highestAtMs) * 1000),
    };
    back.send(REPORT_BYTES, () => sender(() => core.hear(content, events.nowMs)));
  }

  events.at(startMs, pump);
  return {
    dispatch: core,
    received: () => received,
    duplicates: () => duplicates,
    done: () => doneMs > 0,
    doneMs: () => doneMs,
  };
}
