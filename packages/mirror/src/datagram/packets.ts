/**
 * The datagrams, byte by byte (docs/protocol.md has the table). Little endian. Data carries a fragment of a sealed block
 * behind a header with a tag of its own; everything else is sealed whole. A decoder returns undefined for what is not
 * ours: a datagram may come from anybody, and noise on a port is no event.
 */

import type { Runs } from "./runs.ts";

/** High nibble of the first byte; raised together with a change of any layout below. */
const DATAGRAM_VERSION = 1;
const KINDS = { data: 1, last: 2, status: 3, report: 4, probe: 5, echo: 6 } as const;

export type SealedKind = "status" | "report" | "probe" | "echo";

export const HEADER_BYTES = 14;
/** Kind and number before, GCM tag after. */
export const SEALED_OVERHEAD = 5 + 16;
export const GCM_TAG_BYTES = 16;
/** Packets, blocks and reports are numbered with 32 bits; a session ends before one is used twice. */
export const NUMBER_MAX = 0xffff_ffff;
/** IP and UDP headers. */
export const IPV4_OVERHEAD = 28;
export const IPV6_OVERHEAD = 48;
/** What any IPv6 path carries (RFC 8200), and what we ask for beyond. */
export const MTU_MIN = 1280;
export const MTU_MAX = 1500;
/** A sealed block, at most. */
export const BLOCK_BYTES_MAX = 64 * 1024;
export const FRAGMENTS_MAX = 64;
/** In one report. */
export const RUNS_MAX = 320;
export const REDO_MAX = 8;

export type DataHeader = {
  /** The block ends with this fragment. */
  readonly isLast: boolean;
  readonly fragment: number;
  readonly packet: number;
  readonly block: number;
  /** Of the header, by keys.ts. */
  readonly tag: number;
};

/** The sender's word, in answer to reports and as a ping. */
export type Status = {
  /** Below this packet everything is decided. */
  readonly floor: number;
  readonly reportMs: number;
};

export type Report = {
  readonly floor: number;
  readonly highest: number;
  readonly received: number;
  readonly disorder: number;
  readonly newestAtUs: number;
  readonly delayUs: number;
  /** Pieces that came again though they were there. */
  readonly duplicates: number;
  /** All blocks below have been taken by the consumer's thread, in order. */
  readonly taken: number;
  /** Blocks from here on have no room yet. */
  readonly limit: number;
  /** Blocks whose seal was broken, with how often. */
  readonly redo: readonly { readonly block: number; readonly times: number }[];
  readonly runs: Runs;
};

export type Sealed = { readonly kind: SealedKind; readonly number: number; readonly body: Buffer };

/** Bytes of a block in each fragment but the last. */
export function fragmentBytes(mtu: number, family: "IPv4" | "IPv6"): number {
  return mtu - (family === "IPv6" ? IPV6_OVERHEAD : IPV4_OVERHEAD) - HEADER_BYTES;
}

export function fragmentsOf(bytesPerFragment: number): number {
  return Math.min(FRAGMENTS_MAX, Math.floor(BLOCK_BYTES_MAX / bytesPerFragment));
}

export function writeHeader(
  into: Buffer,
  at: number,
  { isLast, fragment, packet, block, tag }: DataHeader,
): void {
  into[at] = (DATAGRAM_VERSION << 4) | (isLast ? KINDS.last : KINDS.data);
  into[at + 1] = fragment;
  into.writeUInt32LE(packet, at + 2);
  into.writeUInt32LE(block, at + 6);
  into.writeUInt32LE(tag, at + 10);
}

/** Undefined when it is no data. */
export function readHeader(datagram: Buffer): DataHeader | undefined {
  const kind = datagram[0]! ^ (DATAGRAM_VERSION << 4);
  if (datagram.length <= HEADER_BYTES || (kind !== KINDS.data && kind !== KINDS.last)) return undefined;
  const fragment = datagram[1]!;
  if (fragment >= FRAGMENTS_MAX) return undefined;
  return {
    isLast: kind === KINDS.last,
    fragment,
    packet: datagram.readUInt32LE(2),
    block: datagram.readUInt32LE(6),
    tag: datagram.readUInt32LE(10),
  };
}

/** Kind and number: what is authenticated and not encrypted. */
export function sealedPrefix(kind: SealedKind, number: number): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = (DATAGRAM_VERSION << 4) | KINDS[kind];
  prefix.writeUInt32LE(number, 1);
  return prefix;
}

export function readSealed(datagram: Buffer): Sealed | undefined {
  if (datagram.length < SEALED_OVERHEAD) return undefined;
  const kind = sealedKind(datagram[0]! ^ (DATAGRAM_VERSION << 4));
  return kind && { kind, number: datagram.readUInt32LE(1), body: datagram.subarray(5) };
}

function sealedKind(code: number): SealedKind | undefined {
  switch (code) {
    case KINDS.status:
      return "status";
    case KINDS.report:
      return "report";
    case KINDS.probe:
      return "probe";
    case KINDS.echo:
      return "echo";
    default:
      return undefined;
  }
}

export function encodeStatus({ floor, reportMs }: Status): Buffer {
  const body = Buffer.alloc(6);
  body.writeUInt32LE(floor, 0);
  body.writeUInt16LE(reportMs, 4);
  return body;
}

export function decodeStatus(body: Buffer): Status | undefined {
  if (body.length !== 6) return undefined;
  return { floor: body.readUInt32LE(0), reportMs: body.readUInt16LE(4) };
}

const REPORT_FIXED = 9 * 4 + 1;
const REDO_BYTES = 5;

export function encodeReport(report: Report): Buffer {
  const redo = report.redo.slice(0, REDO_MAX);
  const runs = report.runs.slice(0, RUNS_MAX);
  const body = Buffer.alloc(REPORT_FIXED + redo.length * REDO_BYTES + runs.length * 3);
  const numbers = [
    report.floor,
    report.highest,
    report.received,
    report.disorder,
    report.newestAtUs,
    report.delayUs,
    report.duplicates,
    report.taken,
    report.limit,
  ];
  let at = 0;
  for (const each of numbers) at = body.writeUInt32LE(each, at);
  at = body.writeUInt8(redo.length, at);
  for (const { block, times } of redo) at = body.writeUInt8(times, body.writeUInt32LE(block, at));
  for (const length of runs) at = writeVarint(body, at, length);
  return body.subarray(0, at);
}

export function decodeReport(body: Buffer): Report | undefined {
  if (body.length < REPORT_FIXED) return undefined;
  const number = (index: number) => body.readUInt32LE(index * 4);
  const redoCount = body[REPORT_FIXED - 1]!;
  const runsAt = REPORT_FIXED + redoCount * REDO_BYTES;
  if (redoCount > REDO_MAX || body.length < runsAt) return undefined;
  const runs = readRuns(body.subarray(runsAt), number(1) + 1 - number(0));
  return (
    runs && {
      floor: number(0),
      highest: number(1),
      received: number(2),
      disorder: number(3),
      newestAtUs: number(4),
      delayUs: number(5),
      duplicates: number(6),
      taken: number(7),
      limit: number(8),
      redo: Array.from({ length: redoCount }, (_, index) => ({
        block: body.readUInt32LE(REPORT_FIXED + index * REDO_BYTES),
        times: body[REPORT_FIXED + index * REDO_BYTES + 4]!,
      })),
      runs,
    }
  );
}

/** They must not reach beyond the highest packet. */
function readRuns(bytes: Buffer, total: number): Runs | undefined {
  const runs: number[] = [];
  let [at, sum] = [0, 0];
  while (at < bytes.length) {
    const read = readVarint(bytes, at);
    if (!read || runs.length === RUNS_MAX) return undefined;
    runs.push(read.value);
    sum += read.value;
    at = read.next;
  }
  return sum <= Math.max(0, total) ? runs : undefined;
}

/** Seven bits a byte, low ones first; three bytes at most, which is more than may be outstanding. */
function writeVarint(into: Buffer, at: number, value: number): number {
  let [rest, next] = [value, at];
  while (rest > 0x7f) {
    into[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  into[next++] = rest;
  return next;
}

function readVarint(bytes: Buffer, at: number): { value: number; next: number } | undefined {
  let value = 0;
  for (let index = 0; index < 3; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) return undefined;
    value |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) return { value, next: at + index + 1 };
  }
  return undefined;
}
