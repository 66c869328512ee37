/**
 * The receiving end of a seed over UDP without its socket and clock: datagrams in, blocks out in their order, reports
 * back. Whatever somebody else sends changes nothing here.
 */

import { BROKEN_MAX, inbox } from "./inbox.ts";
import { type DatagramKeys, headerTags, openSmall, sealSmall } from "./keys.ts";
import {
  decodeStatus,
  encodeReport,
  HEADER_BYTES,
  MTU_MAX,
  NUMBER_MAX,
  REDO_MAX,
  RUNS_MAX,
  readHeader,
  readSealed,
  type Sealed,
} from "./packets.ts";
import { PROBES_MAX } from "./probe.ts";
import { arrivals } from "./runs.ts";
import { SILENCE_MS_MAX, type Verdict } from "./sending.ts";

/** Before the first datagram: the sender's thread has to start, and on a busy machine that takes seconds. */
const FIRST_MS_MAX = 30_000;
const REPORT_MS_FIRST = 10;
const REPORT_MS_RANGE = [5, 100] as const;
const NOTHING: Heard = { blocks: [], isPeer: false };

export type Heard = {
  /** Whose turn has come. */
  readonly blocks: readonly Buffer[];
  /** Goes back at once to where the datagram came from. */
  readonly echo?: Buffer;
  /** It came from where reports have to go from now on. */
  readonly isPeer: boolean;
};

export interface ReceivingEnd {
  hear(datagram: Buffer, nowMs: number): Heard;
  /** The consumer has taken `blocks` more. */
  take(blocks: number): void;
  /** Sealed, when it is time for one. */
  report(nowMs: number): Buffer | undefined;
  /** Why it cannot go on; asked for now and then. */
  verdict(nowMs: number): Verdict | undefined;
}

export function receivingEnd(keys: DatagramKeys, startMs: number): ReceivingEnd {
  const packets = arrivals();
  const box = inbox(keys);
  const tags = headerTags(keys);
  const probed = new Set<number>();
  let [reportMs, reportedAtMs, reportNumber] = [REPORT_MS_FIRST, 0, 0];
  let [heardAtMs, highestAtMs, newestAtMs, changed] = [startMs, startMs, startMs, false];

  function arrive(packet: number, nowMs: number): void {
    if (packet > packets.highest) highestAtMs = nowMs;
    packets.add(packet);
    [heardAtMs, newestAtMs, changed] = [nowMs, nowMs, true];
  }

  /** Undefined when it is no data. */
  function hearData(datagram: Buffer, nowMs: number): Heard | undefined {
    const header = readHeader(datagram);
    if (!header) return undefined;
    const { packet } = header;
    if (!packets.wants(packet) || header.tag !== tags.tag(header, datagram.length - HEADER_BYTES))
      return NOTHING;
    if (box.add(header, datagram.subarray(HEADER_BYTES)) === "outside") return NOTHING;
    arrive(packet, nowMs);
    return { blocks: box.ready(), isPeer: false };
  }

  function hearSealed(datagram: Buffer, nowMs: number): Heard {
    const sealed = readSealed(datagram);
    if (sealed?.kind === "probe") return echo(sealed, nowMs);
    if (sealed?.kind !== "status" || !packets.wants(sealed.number)) return NOTHING;
    const body = openSmall(keys.fromSender, sealed);
    const status = body && decodeStatus(body);
    if (!status) return NOTHING;
    const isPeer = sealed.number > packets.highest;
    arrive(sealed.number, nowMs);
    packets.raiseFloor(status.floor);
    reportMs = Math.min(REPORT_MS_RANGE[1], Math.max(REPORT_MS_RANGE[0], status.reportMs));
    return { blocks: [], isPeer };
  }

  /** Each once: a probe that is sent again and again by somebody else is answered once. */
  function echo(sealed: Sealed, nowMs: number): Heard {
    const { number } = sealed;
    if (number >= PROBES_MAX || probed.has(number) || !openSmall(keys.fromSender, sealed)) return NOTHING;
    probed.add(number);
    heardAtMs = nowMs;
    const answer = sealSmall(keys.fromReceiver, "echo", { number, body: Buffer.alloc(0) });
    return { blocks: [], echo: answer, isPeer: packets.highest < 0 };
  }

  return {
    hear(datagram, nowMs) {
      if (datagram.length > MTU_MAX) return NOTHING;
      return hearData(datagram, nowMs) ?? hearSealed(datagram, nowMs);
    },
    take(blocks) {
      box.take(blocks);
      changed = true;
    },
    report(nowMs) {
      if (!changed || nowMs - reportedAtMs < reportMs || reportNumber >= NUMBER_MAX) return undefined;
      const body = encodeReport({
        floor: packets.floor,
        highest: Math.max(0, packets.highest),
        received: packets.count,
        disorder: packets.disorder,
        newestAtUs: Math.round(newestAtMs * 1000) % (NUMBER_MAX + 1),
        delayUs: Math.round((nowMs - highestAtMs) * 1000) % (NUMBER_MAX + 1),
        duplicates: box.duplicates,
        taken: box.taken,
        limit: box.limit,
        redo: box.redo.slice(0, REDO_MAX),
        runs: packets.runs(RUNS_MAX),
      });
      reportNumber += 1;
      [reportedAtMs, changed] = [nowMs, false];
      return sealSmall(keys.fromReceiver, "report", { number: reportNumber - 1, body });
    },
    verdict(nowMs) {
      if (box.broken > BROKEN_MAX)
        return { code: "garbage", reason: `${box.broken} blocks of the seed came with broken seals` };
      const patienceMs = packets.highest < 0 ? FIRST_MS_MAX : SILENCE_MS_MAX;
      if (nowMs - heardAtMs > patienceMs)
        return { code: "unreachable", reason: `nothing came over UDP for ${patienceMs / 1000} s` };
      return undefined;
    },
  };
}
