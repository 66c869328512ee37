/**
 * What goes out next, and when: scoreboard, congestion model and pacer put together, with the pieces that have to be sent
 * again. Knows numbers only; the worker has the bytes and the socket, a test has neither.
 */

import { type Congestion, congestion } from "./congestion.ts";
import { pacer } from "./pacer.ts";
import { type ArrivalReport, PING, scoreboard } from "./scoreboard.ts";

const PING_MS_MIN = 5;
/** Unanswered or with nothing to ask, pings become rarer; this often they come in any case. */
const PING_MS_MAX = 100;
/** However small pace and window have become, a piece leaves when none did for so many round trips and report intervals. */
const NUDGE_ROUND_TRIPS = 1;
const NUDGE_REPORTS = 2;

export type DispatchOptions = {
  /** The next piece never sent before; undefined while there is none, or no room for it. */
  readonly fresh: () => number | undefined;
  /** False for a piece that arrived after all: it is not sent again. */
  readonly isWanted: (piece: number) => boolean;
  readonly reportMs: () => number;
  readonly rttMs: number;
  /** Packets per ms, at most. */
  readonly rateMax?: number;
};

export type Outgoing = { readonly packet: number; readonly piece: number };

export interface Dispatch {
  /** Everything that may leave at `nowMs`, one after the other; undefined ends it. */
  next(nowMs: number): Outgoing | undefined;
  /** How many pieces have arrived since the last one. */
  hear(report: ArrivalReport, nowMs: number): number;
  /** These pieces have to be sent again for another reason than loss. */
  again(pieces: Iterable<number>): void;
  readonly congestion: Congestion;
  readonly floor: number;
  readonly flying: number;
  readonly nextPacket: number;
  /** Pieces that wait to be sent again. */
  readonly owed: number;
  readonly sent: { packets: number; repairs: number };
}

export function dispatch(
  { fresh, isWanted, reportMs, rttMs, rateMax = Number.POSITIVE_INFINITY }: DispatchOptions,
  startMs: number,
): Dispatch {
  const board = scoreboard();
  const path = congestion({ reportMs, rttMs }, startMs);
  const pace = pacer();
  const repairs: number[] = [];
  const sent = { packets: 0, repairs: 0 };
  let [repairsDone, sentAtMs, pieceAtMs, heardAtMs] = [0, startMs, startMs, startMs];
  /** What the receiver has last said it knows of the floor: what we told it may have been lost. */
  let [knownFloor, toldAtMs] = [0, startMs];

  function nextPiece(): number | undefined {
    while (repairsDone < repairs.length) {
      const piece = repairs[repairsDone]!;
      repairsDone += 1;
      if (repairsDone === repairs.length) [repairs.length, repairsDone] = [0, 0];
      if (!isWanted(piece)) continue;
      sent.repairs += 1;
      return piece;
    }
    return fresh();
  }

  function pingIsDue(nowMs: number): boolean {
    if (board.isSpent) return false;
    // The floor has to reach the receiver while data flows as well.
    if (board.floor > knownFloor && nowMs - toldAtMs >= reportMs()) return true;
    // Quick while news matters, rare when there is nothing to hear or nobody answers.
    const silentMs = nowMs - heardAtMs;
    const quick = Math.max(PING_MS_MIN, path.rttMs / 8, silentMs / 8);
    return nowMs - sentAtMs >= Math.min(PING_MS_MAX, board.flying > 0 ? quick : PING_MS_MAX);
  }

  /** Pace and window allow a piece, or there was none for too long. */
  function mayGo(nowMs: number): boolean {
    // Asked each time, so that it knows how long we did not run.
    const allowance = pace.allowance(nowMs, Math.min(rateMax, path.rate));
    if (pace.wasLate) path.late();
    if (board.full) return false;
    if (nowMs - pieceAtMs >= NUDGE_ROUND_TRIPS * path.rttMs + NUDGE_REPORTS * reportMs()) return true;
    return board.flying < path.window && allowance >= 1;
  }

  function send(piece: number, nowMs: number): Outgoing {
    sentAtMs = nowMs;
    sent.packets += 1;
    if (piece === PING) toldAtMs = nowMs;
    else pieceAtMs = nowMs;
    return { packet: board.send(piece, nowMs), piece };
  }

  return {
    next(nowMs) {
      if (pingIsDue(nowMs)) return send(PING, nowMs);
      if (mayGo(nowMs)) {
        const piece = nextPiece();
        if (piece !== undefined) {
          pace.spend(1);
          return send(piece, nowMs);
        }
        board.markAppLimited();
      }
      return undefined;
    },
    hear(report, nowMs) {
      const news = board.hear(report, nowMs);
      if (!news) return 0;
      [heardAtMs, knownFloor] = [nowMs, report.floor];
      for (const piece of news.lost) repairs.push(piece);
      path.hear(news, nowMs);
      return news.pieces;
    },
    again(pieces) {
      for (const piece of pieces) repairs.push(piece);
    },
    congestion: path,
    get floor() {
      return board.floor;
    },
    get flying() {
      return board.flying;
    },
    get nextPacket() {
      return board.nextPacket;
    },
    get owed() {
      return repairs.length - repairsDone;
    },
    sent,
  };
}
