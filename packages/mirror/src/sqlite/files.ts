/**
 * The three files of a live database, read beside SQLite and without its locks.
 * Closing a file drops every POSIX lock that this process holds on it. So whoever has a node:sqlite connection to the
 * same database closes that first and these files after it, and the application has to be another process.
 */

import { closeSync, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";
import { endianness } from "node:os";
import { DatabaseError } from "./errors.ts";
import { type ChainStart, type Frame, frameBytes, frameOffset, isPageSize, parseFrames } from "./wal.ts";
import { INDEX_HEADERS_BYTES, type IndexHeader, parseIndexHeaders } from "./walindex.ts";

const READ_CHUNK_BYTES = 4 * 1024 * 1024;
/** A writer needs microseconds between the two copies of the header; one that died there is repaired by SQLite. */
const HEADER_READS_MAX = 100;
const MAGIC = "SQLite format 3\0";
const FILE_HEADER_BYTES = 100;
const WAL_FORMAT = 2;

export type DatabaseFiles = {
  readonly database: number;
  readonly log: number;
  readonly index: number;
  /** Device and inode of each. As long as they are open, no new file can get the same. */
  readonly identities: readonly string[];
};

function namesOf(path: string): readonly [string, string, string] {
  return [path, `${path}-wal`, `${path}-shm`];
}

/** Opens all three, or throws what the first that cannot be opened says. */
export function openFiles(path: string, logFlags: "r" | "r+"): DatabaseFiles {
  if (endianness() !== "LE")
    throw new DatabaseError("unsupported", "sqlite mirror: little-endian machines only");
  const opened: number[] = [];
  try {
    for (const name of namesOf(path)) opened.push(openSync(name, name === path ? "r" : logFlags));
  } catch (error) {
    for (const file of opened) closeSync(file);
    throw error;
  }
  const [database, log, index] = opened as [number, number, number];
  return { database, log, index, identities: opened.map((file) => identity(fstatSync(file))) };
}

export function closeFiles(files: DatabaseFiles): void {
  closeSync(files.index);
  closeSync(files.log);
  closeSync(files.database);
}

/** Whether the names still lead to the files that are open: an application that closes cleanly removes two of them. */
export function filesAreCurrent(path: string, files: DatabaseFiles): boolean {
  return namesOf(path).every((name, index) => isFile(name, files.identities[index]));
}

/** The same of the index alone, which goes whenever one of the others does: a third of the cost for whoever polls. */
export function indexIsCurrent(path: string, files: DatabaseFiles): boolean {
  return isFile(namesOf(path)[2], files.identities[2]);
}

function isFile(name: string, held: string | undefined): boolean {
  const found = statOf(name);
  return found !== undefined && identity(found) === held;
}

function identity(stat: Stats): string {
  return `${stat.dev}:${stat.ino}`;
}

export function statOf(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

/** Reads until `length` bytes or the end of the file. */
export function readAt(file: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = readSync(file, bytes, done, length - done, offset + done);
    if (count === 0) break;
    done += count;
  }
  return bytes.subarray(0, done);
}

export function readIndexHeader(files: DatabaseFiles): IndexHeader | undefined {
  for (let attempt = 0; attempt < HEADER_READS_MAX; attempt += 1) {
    const header = parseIndexHeaders(readAt(files.index, 0, INDEX_HEADERS_BYTES));
    if (header !== undefined) return header;
  }
  return undefined;
}

/** Frames `first` to `last`, verified along the chain; undefined when one of them does not continue it (any more). */
export function readFrames(
  file: number,
  { first, last, start }: { first: number; last: number; start: ChainStart },
): Frame[] | undefined {
  const stride = frameBytes(start.pageSize);
  const perChunk = Math.max(1, Math.floor(READ_CHUNK_BYTES / stride));
  const frames: Frame[] = [];
  let chain = start.chain;
  for (let next = first; next <= last; next += perChunk) {
    const count = Math.min(perChunk, last - next + 1);
    const bytes = readAt(file, frameOffset(next, start.pageSize), count * stride);
    const parsed = parseFrames(bytes, { ...start, chain });
    if (parsed.frames.length < count) return undefined;
    frames.push(...parsed.frames);
    chain = parsed.chain;
  }
  return frames;
}

export type DatabaseHeader =
  | { readonly kind: "absent" }
  | { readonly kind: "foreign" }
  | { readonly kind: "rollback"; readonly pageSize: number }
  | { readonly kind: "wal"; readonly pageSize: number };

/** What the first page of the file at `path` says. It opens and closes the file: not while a connection is open here. */
export function readDatabaseHeader(path: string): DatabaseHeader {
  if ((statOf(path)?.size ?? 0) === 0) return { kind: "absent" };
  const file = openSync(path, "r");
  try {
    return parseDatabaseHeader(readAt(file, 0, FILE_HEADER_BYTES));
  } finally {
    closeSync(file);
  }
}

export function parseDatabaseHeader(bytes: Uint8Array): DatabaseHeader {
  if (bytes.length === 0) return { kind: "absent" };
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < FILE_HEADER_BYTES || buffer.toString("latin1", 0, 16) !== MAGIC)
    return { kind: "foreign" };
  const stored = buffer.readUInt16BE(16);
  const pageSize = stored === 1 ? 65536 : stored;
  if (!isPageSize(pageSize)) return { kind: "foreign" };
  const wal = buffer[18] === WAL_FORMAT && buffer[19] === WAL_FORMAT;
  return { kind: wal ? "wal" : "rollback", pageSize };
}
