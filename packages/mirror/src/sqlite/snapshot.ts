/**
 * A whole database at one commit. The caller holds a read transaction (or the write lock), taken before; the commit is
 * read from the log's index after that. While the transaction lasts, no checkpoint copies anything newer than its own
 * snapshot into the database file, so a page is its last image in the log up to that commit, else what the file holds.
 * Should the log itself be begun anew meanwhile (possible when it was all copied), its frames no longer verify and the
 * next commit is taken.
 */

import { fstatSync } from "node:fs";
import { DatabaseError } from "./errors.ts";
import { type DatabaseFiles, parseDatabaseHeader, readAt, readFrames, readIndexHeader } from "./files.ts";
import { type Folded, foldFrames, LOG_HEADER_BYTES, lockPage, parseLogHeader, sameSalt } from "./wal.ts";
import type { IndexHeader } from "./walindex.ts";

const ATTEMPTS_MAX = 20;
const CHUNK_BYTES = 1024 * 1024;
const FILE_HEADER_BYTES = 100;

export type Snapshot = {
  readonly header: IndexHeader;
  readonly pageSize: number;
  readonly pageCount: number;
  readonly log: Folded["pages"];
};

const EMPTY_LOG: Folded["pages"] = new Map();

/** Page size and count at the newest commit, without reading the log. */
export function measure(files: DatabaseFiles): { pageSize: number; pageCount: number } {
  const header = readIndexHeader(files);
  if (header === undefined) throw new DatabaseError("torn", "sqlite mirror: no valid log index");
  return measureAt(files, header);
}

/** Finds the newest commit and reads the log up to it. */
export function takeSnapshot(files: DatabaseFiles): Snapshot {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
    const header = readIndexHeader(files);
    if (header === undefined) continue;
    if (header.lastFrame === 0) return { ...measureAt(files, header), header, log: EMPTY_LOG };
    const folded = readLog(files, header);
    if (folded === undefined) continue;
    return { header, pageSize: header.pageSize, pageCount: header.pageCount, log: folded.pages };
  }
  throw new DatabaseError("torn", "sqlite mirror: the log changed under every attempt to read it");
}

/** With an empty log the file is the database; a fresh index does not know its size. */
function measureAt(files: DatabaseFiles, header: IndexHeader): { pageSize: number; pageCount: number } {
  if (header.pageSize > 0 && header.pageCount > 0) return header;
  const found = parseDatabaseHeader(readAt(files.database, 0, FILE_HEADER_BYTES));
  if (!("pageSize" in found))
    throw new DatabaseError("torn", "sqlite mirror: the database has no header yet");
  return { pageSize: found.pageSize, pageCount: Math.ceil(fstatSync(files.database).size / found.pageSize) };
}

/** The whole log up to this header, verified from its first byte; undefined when it has moved on. */
export function readLog(files: DatabaseFiles, header: IndexHeader): Folded | undefined {
  const log = parseLogHeader(readAt(files.log, 0, LOG_HEADER_BYTES));
  if (log === undefined || !sameSalt(log.salt, header.salt) || log.pageSize !== header.pageSize)
    return undefined;
  const frames = readFrames(files.log, { first: 1, last: header.lastFrame, start: log });
  const folded = frames && foldFrames(frames, 1, header.pageSize);
  return folded?.pageCount === header.pageCount ? folded : undefined;
}

/** Calls `visit` with each page in order. The data are only valid during the call; the lock page reads as zeros. */
export function visitPages(
  files: DatabaseFiles,
  snapshot: Snapshot,
  visit: (page: number, data: Uint8Array) => void,
): void {
  const { pageSize, pageCount, log } = snapshot;
  const perChunk = Math.max(1, Math.floor(CHUNK_BYTES / pageSize));
  for (let first = 1; first <= pageCount; first += perChunk) {
    const count = Math.min(perChunk, pageCount - first + 1);
    // What was never written, beyond the end of the file, is a free page without content: zeros, as SQLite reads it.
    const chunk = new Uint8Array(count * pageSize);
    chunk.set(readAt(files.database, (first - 1) * pageSize, count * pageSize));
    for (let index = 0; index < count; index += 1) {
      const page = first + index;
      const data = chunk.subarray(index * pageSize, (index + 1) * pageSize);
      if (page === lockPage(pageSize)) data.fill(0);
      visit(page, log.get(page)?.data ?? data);
    }
  }
}
