/**
 * SQLite's write-ahead log as bytes: its header, its frames, and the checksum that chains each frame to all before it.
 * A frame counts only when it carries the log's salt and continues the chain, so what another process has half written
 * or overwritten is never mistaken for a commit. Layout: https://sqlite.org/fileformat2.html#walformat
 */

export const LOG_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 24;

const MAGIC = 0x377f0682;
const FORMAT_VERSION = 3007000;
const SALT_OFFSET = 16;
const LOG_CHECKSUM_OFFSET = 24;
const FRAME_SALT_OFFSET = 8;
const FRAME_CHECKSUM_OFFSET = 16;
const PAGE_SIZE_MIN = 512;
const PAGE_SIZE_MAX = 65536;
/** SQLite keeps its locks at this byte of the database; the page that holds it is never used. */
const LOCK_BYTE = 0x40000000;

export type Checksum = { readonly first: number; readonly second: number };
export const CHECKSUM_ZERO: Checksum = { first: 0, second: 0 };

/** New for each generation of a log: frames of an older one, further back in the same file, do not match it. */
export type Salt = { readonly first: number; readonly second: number };

export type LogHeader = {
  /** Byte order of the words that checksums are computed over, set by the machine that began the log. */
  readonly bigEndian: boolean;
  readonly pageSize: number;
  readonly sequence: number;
  readonly salt: Salt;
  /** Where the chain of the frames begins. */
  readonly chain: Checksum;
};

export type Frame = {
  readonly page: number;
  /** Pages of the database after the transaction that this frame ends; 0: it ends none. */
  readonly commitPages: number;
  readonly data: Uint8Array;
};

export type ChainStart = {
  readonly pageSize: number;
  readonly bigEndian: boolean;
  readonly salt: Salt;
  readonly chain: Checksum;
};

export function isPageSize(size: number): boolean {
  return size >= PAGE_SIZE_MIN && size <= PAGE_SIZE_MAX && (size & (size - 1)) === 0;
}

export function lockPage(pageSize: number): number {
  return LOCK_BYTE / pageSize + 1;
}

export function frameBytes(pageSize: number): number {
  return FRAME_HEADER_BYTES + pageSize;
}

/** Where frame `frame`, counted from 1, begins in the log. */
export function frameOffset(frame: number, pageSize: number): number {
  return LOG_HEADER_BYTES + (frame - 1) * frameBytes(pageSize);
}

export function sameSalt(a: Salt, b: Salt): boolean {
  return a.first === b.first && a.second === b.second;
}

export function sameChecksum(a: Checksum, b: Checksum): boolean {
  return a.first === b.first && a.second === b.second;
}

/** Continues `from` over `bytes`, whose length is a multiple of 8. */
export function checksum(bytes: Uint8Array, from: Checksum, bigEndian: boolean): Checksum {
  const words = bigEndian ? swappedWords(bytes) : littleEndianWords(bytes);
  let first = from.first | 0;
  let second = from.second | 0;
  for (let index = 0; index < words.length; index += 2) {
    first = (first + words[index]! + second) | 0;
    second = (second + words[index + 1]! + first) | 0;
  }
  return { first: first >>> 0, second: second >>> 0 };
}

function littleEndianWords(bytes: Uint8Array): Int32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Int32Array(aligned.buffer, aligned.byteOffset, aligned.length / 4);
}

function swappedWords(bytes: Uint8Array): Int32Array {
  const view = viewOf(bytes);
  return Int32Array.from({ length: bytes.length / 4 }, (_, index) => view.getInt32(index * 4, false));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function readPair(view: DataView, offset: number): { first: number; second: number } {
  return { first: view.getUint32(offset), second: view.getUint32(offset + 4) };
}

function writePair(view: DataView, offset: number, pair: { first: number; second: number }): void {
  view.setUint32(offset, pair.first);
  view.setUint32(offset + 4, pair.second);
}

/** Undefined when these bytes do not begin a log. */
export function parseLogHeader(bytes: Uint8Array): LogHeader | undefined {
  if (bytes.length < LOG_HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  const magic = view.getUint32(0);
  const pageSize = view.getUint32(8);
  if ((magic & ~1) !== MAGIC || view.getUint32(4) !== FORMAT_VERSION || !isPageSize(pageSize))
    return undefined;
  const bigEndian = (magic & 1) === 1;
  const chain = checksum(bytes.subarray(0, LOG_CHECKSUM_OFFSET), CHECKSUM_ZERO, bigEndian);
  if (!sameChecksum(chain, readPair(view, LOG_CHECKSUM_OFFSET))) return undefined;
  return { bigEndian, pageSize, sequence: view.getUint32(12), salt: readPair(view, SALT_OFFSET), chain };
}

export function buildLogHeader(header: Omit<LogHeader, "chain">): { bytes: Uint8Array; chain: Checksum } {
  const bytes = new Uint8Array(LOG_HEADER_BYTES);
  const view = viewOf(bytes);
  view.setUint32(0, MAGIC | (header.bigEndian ? 1 : 0));
  view.setUint32(4, FORMAT_VERSION);
  view.setUint32(8, header.pageSize);
  view.setUint32(12, header.sequence);
  writePair(view, SALT_OFFSET, header.salt);
  const chain = checksum(bytes.subarray(0, LOG_CHECKSUM_OFFSET), CHECKSUM_ZERO, header.bigEndian);
  writePair(view, LOG_CHECKSUM_OFFSET, chain);
  return { bytes, chain };
}

/** The salt and the stored checksum of a frame, unverified; undefined when there are too few bytes. */
export function peekFrame(bytes: Uint8Array): { salt: Salt; chain: Checksum } | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  return { salt: readPair(view, FRAME_SALT_OFFSET), chain: readPair(view, FRAME_CHECKSUM_OFFSET) };
}

/**
 * The frames at the beginning of `bytes` that continue the chain, and the chain after the last of them. It stops at the
 * first that does not; `data` are views into `bytes`.
 */
export function parseFrames(bytes: Uint8Array, start: ChainStart): { frames: Frame[]; chain: Checksum } {
  const frames: Frame[] = [];
  const stride = frameBytes(start.pageSize);
  let chain = start.chain;
  for (let offset = 0; offset + stride <= bytes.length; offset += stride) {
    const head = bytes.subarray(offset, offset + FRAME_HEADER_BYTES);
    const data = bytes.subarray(offset + FRAME_HEADER_BYTES, offset + stride);
    const stored = peekFrame(head)!;
    const view = viewOf(head);
    const page = view.getUint32(0);
    if (page === 0 || !sameSalt(stored.salt, start.salt)) break;
    const next = checksum(data, checksum(head.subarray(0, 8), chain, start.bigEndian), start.bigEndian);
    if (!sameChecksum(next, stored.chain)) break;
    frames.push({ page, commitPages: view.getUint32(4), data });
    chain = next;
  }
  return { frames, chain };
}

/** The bytes of these frames, and the chain after them. */
export function buildFrames(
  frames: readonly Frame[],
  start: ChainStart,
): { bytes: Uint8Array; chain: Checksum } {
  const stride = frameBytes(start.pageSize);
  const bytes = new Uint8Array(stride * frames.length);
  let chain = start.chain;
  for (const [index, frame] of frames.entries()) {
    const offset = index * stride;
    const view = new DataView(bytes.buffer, offset, FRAME_HEADER_BYTES);
    view.setUint32(0, frame.page);
    view.setUint32(4, frame.commitPages);
    writePair(view, FRAME_SALT_OFFSET, start.salt);
    bytes.set(frame.data, offset + FRAME_HEADER_BYTES);
    chain = checksum(bytes.subarray(offset, offset + 8), chain, start.bigEndian);
    const data = bytes.subarray(offset + FRAME_HEADER_BYTES, offset + stride);
    chain = checksum(data, chain, start.bigEndian);
    writePair(view, FRAME_CHECKSUM_OFFSET, chain);
  }
  return { bytes, chain };
}

/** Whole transactions of a stretch of a log, folded to the last image of each page. */
export type Folded = {
  /** Page -> its last image and the frame that holds it; none above the page count, and not the lock page. */
  readonly pages: ReadonlyMap<number, { readonly frame: number; readonly data: Uint8Array }>;
  readonly commits: number;
  /** Of the last transaction. */
  readonly pageCount: number;
};

/** Folds frames that begin with number `firstFrame` and end with a commit; undefined when the last one is none. */
export function foldFrames(
  frames: readonly Frame[],
  firstFrame: number,
  pageSize: number,
): Folded | undefined {
  const pageCount = frames.at(-1)?.commitPages ?? 0;
  if (pageCount === 0) return undefined;
  const pages = new Map<number, { frame: number; data: Uint8Array }>();
  let commits = 0;
  for (const [index, frame] of frames.entries()) {
    pages.set(frame.page, { frame: firstFrame + index, data: frame.data });
    if (frame.commitPages > 0) commits += 1;
  }
  for (const page of pages.keys()) {
    if (page > pageCount || page === lockPage(pageSize)) pages.delete(page);
  }
  return { pages, commits, pageCount };
}
