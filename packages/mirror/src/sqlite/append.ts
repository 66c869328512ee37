/**
 * Publishes a transaction into a live database from outside SQLite: frames into the log, page numbers into the index,
 * and last, in one write, both copies of the index's header. Readers with open connections see it whole from then on;
 * until then nothing has happened, and what a killed attempt leaves behind is overwritten by the next.
 * The caller holds SQLite's write lock all the while, and ends with COMMIT: after ROLLBACK its connection would take
 * the published header for its own and keep a stale first page.
 */

import { randomBytes } from "node:crypto";
import { fdatasyncSync, writeSync } from "node:fs";
import { DatabaseError } from "./errors.ts";
import { type DatabaseFiles, readAt, readIndexHeader } from "./files.ts";
import type { Page, PageChanges } from "./pages.ts";
import {
  buildFrames,
  buildLogHeader,
  type ChainStart,
  type Checksum,
  frameOffset,
  LOG_HEADER_BYTES,
  parseLogHeader,
  type Salt,
} from "./wal.ts";
import {
  BLOCK_BYTES,
  buildIndexHeaders,
  entriesOf,
  entryOffset,
  FIRST_ENTRIES_OFFSET,
  fillBlock,
  type IndexHeader,
  placeOf,
  SLOT_GROUP_BYTES,
} from "./walindex.ts";

const FRAMES_PER_WRITE = 256;

export type Write = {
  readonly to: "log" | "index";
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Wait for the disk before the next write. */
  readonly sync?: true;
};

export function appendTransaction(files: DatabaseFiles, changes: PageChanges): void {
  for (const { to, offset, bytes, sync } of appendWrites(files, changes)) {
    writeAll(files[to], bytes, offset);
    if (sync) fdatasyncSync(files[to]);
  }
}

/** The writes that publish `changes`, in order: nothing shows before the last one. Each is to be done before the next is asked for. */
export function* appendWrites(files: DatabaseFiles, changes: PageChanges): Generator<Write> {
  const before = readIndexHeader(files);
  if (before === undefined)
    throw new DatabaseError("torn", "sqlite mirror: no valid log index under the write lock");
  const start = before.lastFrame === 0 ? yield* beginLog(files, before, changes.pageSize) : before;
  const chain = yield* frameWrites({ start, after: before.lastFrame }, changes);
  yield* indexWrites(files.index, before.lastFrame, changes.pages);
  const header: IndexHeader = {
    change: (before.change + 1) >>> 0,
    bigEndian: start.bigEndian,
    pageSize: changes.pageSize,
    lastFrame: before.lastFrame + changes.pages.length,
    pageCount: changes.pageCount,
    chain,
    salt: start.salt,
  };
  yield { to: "index", offset: 0, bytes: buildIndexHeaders(header) };
}

function* beginLog(
  files: DatabaseFiles,
  before: IndexHeader,
  pageSize: number,
): Generator<Write, ChainStart> {
  const old = parseLogHeader(readAt(files.log, 0, LOG_HEADER_BYTES));
  const fresh = before.salt.first === 0 && before.salt.second === 0;
  const salt = fresh ? randomSalt() : before.salt;
  const header = { bigEndian: false, pageSize, sequence: ((old?.sequence ?? 0) + 1) >>> 0, salt };
  const { bytes, chain } = buildLogHeader(header);
  // Synced: after a power loss, new frames behind an old header must not revive the old generation
  // (https://sqlite.org/src/info/ff5be73dee).
  yield { to: "log", offset: 0, bytes, sync: true };
  return { pageSize, bigEndian: false, salt, chain };
}

function randomSalt(): Salt {
  const bytes = randomBytes(8);
  return { first: bytes.readUInt32BE(0), second: bytes.readUInt32BE(4) };
}

function* frameWrites(
  { start, after }: { start: ChainStart; after: number },
  { pageSize, pageCount, pages }: PageChanges,
): Generator<Write, Checksum> {
  let chain = start.chain;
  for (let index = 0; index < pages.length; index += FRAMES_PER_WRITE) {
    const frames = pages.slice(index, index + FRAMES_PER_WRITE).map((page, offset) => ({
      page: page.number,
      commitPages: index + offset === pages.length - 1 ? pageCount : 0,
      data: page.data,
    }));
    const built = buildFrames(frames, { ...start, pageSize, chain });
    yield { to: "log", offset: frameOffset(after + index + 1, pageSize), bytes: built.bytes };
    chain = built.chain;
  }
  return chain;
}

function* indexWrites(file: number, after: number, pages: readonly Page[]): Generator<Write> {
  let done = 0;
  while (done < pages.length) {
    const { block, entry } = placeOf(after + done + 1);
    const count = Math.min(pages.length - done, entriesOf(block) - entry + 1);
    const numbers = pages.slice(done, done + count).map((page) => page.number);
    if (entry === 1) yield newBlock(block, numbers);
    else yield* blockExtension(file, block, { from: entry, pages: numbers });
    done += count;
  }
}

/** No reader looks into a block of which no frame is published: it may be replaced as a whole. */
function newBlock(block: number, pages: readonly number[]): Write {
  const image = new Uint8Array(BLOCK_BYTES);
  fillBlock(image, { block, from: 1, pages });
  const from = block === 0 ? FIRST_ENTRIES_OFFSET : 0;
  // All of it, no holes: touching a hole on a full disk would kill a reader that has it mapped.
  return { to: "index", offset: block * BLOCK_BYTES + from, bytes: image.subarray(from) };
}

function* blockExtension(
  file: number,
  block: number,
  { from, pages }: { from: number; pages: readonly number[] },
): Generator<Write> {
  const base = block * BLOCK_BYTES;
  const image = new Uint8Array(BLOCK_BYTES);
  image.set(readAt(file, base, BLOCK_BYTES));
  const groups = fillBlock(image, { block, from, pages });
  const first = entryOffset(block, from);
  const end = entryOffset(block, entriesOf(block)) + 4;
  yield { to: "index", offset: base + first, bytes: image.subarray(first, end) };
  // Readers search these slots meanwhile: one aligned group per write, so that they never see half a number.
  for (const offset of groups) {
    yield { to: "index", offset: base + offset, bytes: image.subarray(offset, offset + SLOT_GROUP_BYTES) };
  }
}

function writeAll(file: number, bytes: Uint8Array, offset: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, offset + done);
  }
}
