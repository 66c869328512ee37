/**
 * SQLite's index of its write-ahead log (the -shm file) as bytes: a header, kept twice, that says how far the log is
 * committed, and blocks of hash tables from page numbers to frames. A transaction exists for readers from the moment
 * that both copies of the header name its last frame. Native byte order: little-endian only, checked at opening.
 * Layout: https://sqlite.org/walformat.html
 */

import { CHECKSUM_ZERO, type Checksum, checksum, type Salt, sameChecksum, sameSalt } from "./wal.ts";

/** Both copies of the header. */
export const INDEX_HEADERS_BYTES = 96;
/** u32: frames already copied into the database. */
export const BACKFILLED_OFFSET = 96;
export const BLOCK_BYTES = 32768;
/** Bytes 96 to 135 belong to SQLite's checkpointer, its read marks and its locks: never written from here. */
export const FIRST_ENTRIES_OFFSET = 136;

const INDEX_VERSION = 3007000;
const HEADER_BYTES = 48;
const CHECKSUM_OFFSET = 40;
const SLOTS_OFFSET = 16384;
const SLOTS = 8192;
const HASH_FACTOR = 383;
const FIRST_BLOCK_ENTRIES = 4062;
const BLOCK_ENTRIES = 4096;
/** Slots are written in aligned groups of this size, so that no reader sees half of one. */
export const SLOT_GROUP_BYTES = 8;

export type IndexHeader = {
  /** Raised by each commit; starts at 0 again when SQLite rebuilds the index from the log. */
  readonly change: number;
  readonly bigEndian: boolean;
  /** 0 while the log has been empty since the index was built. */
  readonly pageSize: number;
  /** Frame of the last commit; 0: the log is empty. */
  readonly lastFrame: number;
  /** 0 while the log has been empty since the index was built: the database file says it then. */
  readonly pageCount: number;
  /** After the last frame. */
  readonly chain: Checksum;
  readonly salt: Salt;
};

/** Undefined while the copies differ or do not verify: somebody is just writing them, or there is no index yet. */
export function parseIndexHeaders(bytes: Uint8Array): IndexHeader | undefined {
  if (bytes.length < INDEX_HEADERS_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, INDEX_HEADERS_BYTES);
  for (let offset = 0; offset < HEADER_BYTES; offset += 4) {
    if (view.getUint32(offset) !== view.getUint32(offset + HEADER_BYTES)) return undefined;
  }
  if (view.getUint32(0, true) !== INDEX_VERSION || view.getUint8(12) !== 1) return undefined;
  const stored = {
    first: view.getUint32(CHECKSUM_OFFSET, true),
    second: view.getUint32(CHECKSUM_OFFSET + 4, true),
  };
  if (!sameChecksum(checksum(bytes.subarray(0, CHECKSUM_OFFSET), CHECKSUM_ZERO, false), stored))
    return undefined;
  return {
    change: view.getUint32(8, true),
    bigEndian: view.getUint8(13) === 1,
    pageSize: decodePageSize(view.getUint16(14, true)),
    lastFrame: view.getUint32(16, true),
    pageCount: view.getUint32(20, true),
    chain: { first: view.getUint32(24, true), second: view.getUint32(28, true) },
    salt: { first: view.getUint32(32), second: view.getUint32(36) },
  };
}

/** Both copies, to be written with one call. */
export function buildIndexHeaders(header: IndexHeader): Uint8Array {
  const bytes = new Uint8Array(INDEX_HEADERS_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, INDEX_VERSION, true);
  view.setUint32(8, header.change, true);
  view.setUint8(12, 1);
  view.setUint8(13, header.bigEndian ? 1 : 0);
  view.setUint16(14, encodePageSize(header.pageSize), true);
  view.setUint32(16, header.lastFrame, true);
  view.setUint32(20, header.pageCount, true);
  view.setUint32(24, header.chain.first, true);
  view.setUint32(28, header.chain.second, true);
  view.setUint32(32, header.salt.first);
  view.setUint32(36, header.salt.second);
  const sum = checksum(bytes.subarray(0, CHECKSUM_OFFSET), CHECKSUM_ZERO, false);
  view.setUint32(CHECKSUM_OFFSET, sum.first, true);
  view.setUint32(CHECKSUM_OFFSET + 4, sum.second, true);
  bytes.copyWithin(HEADER_BYTES, 0, HEADER_BYTES);
  return bytes;
}

export function sameHeader(a: IndexHeader, b: IndexHeader): boolean {
  return (
    a.lastFrame === b.lastFrame &&
    a.change === b.change &&
    a.pageCount === b.pageCount &&
    sameSalt(a.salt, b.salt) &&
    sameChecksum(a.chain, b.chain)
  );
}

/** 65536 does not fit 16 bits and is stored as 1. */
function decodePageSize(stored: number): number {
  return (stored & 0xfe00) | ((stored & 1) << 16);
}

function encodePageSize(pageSize: number): number {
  return pageSize === 65536 ? 1 : pageSize;
}

/** Which block holds a frame, and its place there, counted from 1. */
export function placeOf(frame: number): { block: number; entry: number } {
  if (frame <= FIRST_BLOCK_ENTRIES) return { block: 0, entry: frame };
  const rest = frame - FIRST_BLOCK_ENTRIES - 1;
  return { block: 1 + Math.floor(rest / BLOCK_ENTRIES), entry: (rest % BLOCK_ENTRIES) + 1 };
}

export function entriesOf(block: number): number {
  return block === 0 ? FIRST_BLOCK_ENTRIES : BLOCK_ENTRIES;
}

/** Where the page number of `entry` stands within its block. */
export function entryOffset(block: number, entry: number): number {
  return (block === 0 ? FIRST_ENTRIES_OFFSET : 0) + (entry - 1) * 4;
}

/**
 * Enters frames for `pages` into the image of a block, from entry `from` on, clearing first what a writer that died
 * before its commit has left there. Returns the offsets of the 8-byte groups of hash slots that changed.
 */
export function fillBlock(
  image: Uint8Array,
  { block, from, pages }: { block: number; from: number; pages: readonly number[] },
): number[] {
  const view = new DataView(image.buffer, image.byteOffset, BLOCK_BYTES);
  const groups = new Set<number>();
  if (view.getUint32(entryOffset(block, from), true) !== 0) clearFrom(view, { block, from, groups });
  for (const [index, page] of pages.entries()) {
    const entry = from + index;
    view.setUint32(entryOffset(block, entry), page, true);
    const slot = freeSlot(view, page);
    view.setUint16(slot, entry, true);
    groups.add(slot - (slot % SLOT_GROUP_BYTES));
  }
  return [...groups];
}

function clearFrom(
  view: DataView,
  { block, from, groups }: { block: number; from: number; groups: Set<number> },
): void {
  for (let slot = SLOTS_OFFSET; slot < BLOCK_BYTES; slot += 2) {
    if (view.getUint16(slot, true) < from) continue;
    view.setUint16(slot, 0, true);
    groups.add(slot - (slot % SLOT_GROUP_BYTES));
  }
  for (let entry = from; entry <= entriesOf(block); entry += 1)
    view.setUint32(entryOffset(block, entry), 0, true);
}

/** The table has twice as many slots as entries, so that a free one always turns up. */
function freeSlot(view: DataView, page: number): number {
  for (let key = (page * HASH_FACTOR) % SLOTS; ; key = (key + 1) % SLOTS) {
    const slot = SLOTS_OFFSET + key * 2;
    if (view.getUint16(slot, true) === 0) return slot;
  }
}
