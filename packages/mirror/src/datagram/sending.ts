/**
 * The sending end of a seed over UDP without its socket and clock: blocks in, datagrams out, reports in. It goes on, or
 * it says why it cannot; there is no third way. A report without news is no progress: a path may answer every ping and
 * carry no data at all, because a router on it has begun to swallow large packets.
 */

import type { MirrorErrorCode } from "../error.ts";
import { type Dispatch, dispatch } from "./dispatch.ts";
import { type DatagramKeys, openSmall, sealSmall } from "./keys.ts";
import { outbox } from "./outbox.ts";
import { decodeReport, encodeStatus, NUMBER_MAX, type Report, readSealed } from "./packets.ts";
import { PING } from "./scoreboard.ts";

/** The path is given up after so long without a report. */
export const SILENCE_MS_MAX = 5_000;
/** The watchdog: so long with data to send and none of it arriving, whatever the reason. */
export const STALL_MS_MAX = 10_000;
/** All that there is room for has arrived, and the consumer takes none of it: its disk has stopped. */
export const UNTAKEN_MS_MAX = 60_000;
const REPORT_MS_MIN = 10;
const REPORT_MS_MAX = 50;

export type Verdict = { readonly code: MirrorErrorCode; readonly reason: string };

export type SendingOptions = {
  readonly keys: DatagramKeys;
  readonly fragmentBytes: number;
  readonly rttMs: number;
  /** Packets per ms, at most. */
  readonly rateMax?: number;
};

export interface SendingEnd {
  /** Of one block's plain bytes, at most. */
  readonly blockBytes: number;
  push(block: Uint8Array): void;
  /** Everything that may leave at `nowMs`, one after the other; valid until the next one. Undefined ends it. */
  next(nowMs: number): Buffer | undefined;
  hear(datagram: Buffer, nowMs: number): void;
  /** Why it cannot go on; asked for now and then. */
  verdict(nowMs: number): Verdict | undefined;
  /** Blocks that the other end's consumer has taken. */
  readonly taken: number;
  readonly duplicates: number;
  readonly dispatch: Dispatch;
}

export function sendingEnd(
  { keys, fragmentBytes, rttMs, rateMax }: SendingOptions,
  startMs: number,
): SendingEnd {
  const box = outbox(keys, { fragmentBytes });
  let core: Dispatch | undefined;
  const reportMs = (): number =>
    Math.round(Math.max(REPORT_MS_MIN, Math.min(REPORT_MS_MAX, (core ? core.congestion.rttMs : rttMs) / 4)));
  const path = dispatch(
    { fresh: box.fresh, isWanted: box.has, reportMs, rttMs, ...(rateMax !== undefined && { rateMax }) },
    startMs,
  );
  core = path;
  let [heardAtMs, reportsHeard, duplicates] = [startMs, -1, 0];
  /** When a piece last arrived, and when a block was last taken, or there was nothing to wait for. */
  let [arrivedAtMs, takenAtMs] = [startMs, startMs];

  function hearReport(report: Report, nowMs: number): void {
    const before = box.taken;
    [heardAtMs, duplicates] = [nowMs, report.duplicates];
    box.acknowledge(report);
    const pieces = path.hear(report, nowMs);
    for (const { block, times } of report.redo) path.again(box.redo(block, times));
    if (pieces > 0) arrivedAtMs = nowMs;
    if (box.taken > before) takenAtMs = nowMs;
  }

  function isOwing(): boolean {
    return path.flying > 0 || path.owed > 0 || box.hasFresh;
  }

  return {
    blockBytes: box.blockBytes,
    push: (block) => box.push(block),
    next(nowMs) {
      const out = path.next(nowMs);
      if (!out) return undefined;
      if (out.piece !== PING) return box.packet(out.piece, out.packet);
      const body = encodeStatus({ floor: path.floor, reportMs: reportMs() });
      return sealSmall(keys.fromSender, "status", { number: out.packet, body });
    },
    hear(datagram, nowMs) {
      const sealed = readSealed(datagram);
      if (sealed?.kind !== "report" || sealed.number <= reportsHeard) return;
      const body = openSmall(keys.fromReceiver, sealed);
      const report = body && decodeReport(body);
      if (!report) return;
      reportsHeard = sealed.number;
      hearReport(report, nowMs);
    },
    verdict(nowMs) {
      if (!isOwing()) arrivedAtMs = nowMs;
      if (box.taken === box.count) takenAtMs = nowMs;
      if (path.nextPacket >= NUMBER_MAX) return { code: "unreachable", reason: "no packet numbers are left" };
      if (nowMs - heardAtMs > SILENCE_MS_MAX)
        return { code: "unreachable", reason: `no answer over UDP for ${SILENCE_MS_MAX / 1000} s` };
      if (nowMs - arrivedAtMs > STALL_MS_MAX)
        return {
          code: "unreachable",
          reason: `the path answers over UDP, but no data has arrived for ${STALL_MS_MAX / 1000} s`,
        };
      if (nowMs - takenAtMs > UNTAKEN_MS_MAX)
        return {
          code: "unreachable",
          reason: `the other end has taken nothing for ${UNTAKEN_MS_MAX / 1000} s`,
        };
      return undefined;
    },
    get taken() {
      return box.taken;
    },
    get duplicates() {
      return duplicates;
    },
    dispatch: path,
  };
}
