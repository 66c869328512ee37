/**
 * Follows the write-ahead log of a live database from another process, without holding any lock of SQLite's while it
 * does: the log's index says how far it is committed, and each frame proves itself by the chain of checksums. Only when
 * the chain cannot be continued (first read, application restarted, log begun anew unseen) is the whole database
 * compared by its page hashes, under a read transaction that lasts no longer than that.
 */

import { DatabaseSync } from "node:sqlite";
import { commitsAddUp, compareHeaders, endedAt } from "./continuity.ts";
import { asDatabaseError, DatabaseError } from "./errors.ts";
import {
  closeFiles,
  type DatabaseFiles,
  filesAreCurrent,
  indexIsCurrent,
  openFiles,
  readAt,
  readDatabaseHeader,
  readFrames,
  readIndexHeader,
  statOf,
} from "./files.ts";
import type { DatabaseFollower, FollowDatabase } from "./follower.ts";
import {
  copyHashes,
  hashIs,
  hashPage,
  NO_HASHES,
  type PageHashes,
  packHashes,
  resizeHashes,
  setHash,
} from "./page-hashes.ts";
import type { Page, PageChanges } from "./pages.ts";
import { readLog, takeSnapshot, visitPages } from "./snapshot.ts";
import { type Folded, FRAME_HEADER_BYTES, foldFrames, frameBytes, frameOffset, lockPage } from "./wal.ts";
import type { IndexHeader } from "./walindex.ts";
import { sameHeader } from "./walindex.ts";

const LOCK_WAIT_MS = 250;
const STEP_ATTEMPTS_MAX = 3;

/** Up to where everything has been read, and where the log holds the newest image of a page. */
type Place = {
  readonly files: DatabaseFiles;
  readonly header: IndexHeader;
  readonly frameOf: Map<number, number>;
};

export const followDatabase: FollowDatabase = (path, known) =>
  new LogFollower(path, known === undefined ? NO_HASHES : packHashes(known.pageSize, known.hashes));

class LogFollower implements DatabaseFollower {
  readonly #path: string;
  #hashes: PageHashes;
  #place: Place | undefined;
  /** State of a file that is no WAL database (yet): looked at again when it has changed. */
  #refused = "";
  #comparisons = 0;
  #closed = false;

  constructor(path: string, hashes: PageHashes) {
    this.#path = path;
    this.#hashes = hashes;
  }

  pending(): boolean {
    if (this.#closed) return false;
    if (this.#place === undefined) return fingerprint(this.#path) !== this.#refused;
    if (!indexIsCurrent(this.#path, this.#place.files)) return statOf(this.#path) !== undefined;
    const header = readIndexHeader(this.#place.files);
    return header === undefined || !sameHeader(header, this.#place.header);
  }

  read(): PageChanges | undefined {
    if (this.#closed) throw new DatabaseError("closed", `follow ${this.#path}: closed`);
    const advance = this.#place && readOn(this.#path, this.#place);
    if (advance === undefined) return this.#compareAll();
    this.#place = advance.place;
    return advance.folded && this.#takeFolded(advance.folded, advance.place.header.pageSize);
  }

  images(numbers: readonly number[]): PageChanges | undefined {
    if (this.#place === undefined) return undefined;
    const { pageSize, pageCount } = this.#hashes;
    const pages: Page[] = [];
    for (const number of [...numbers].sort((a, b) => a - b)) {
      if (number > pageCount || number === lockPage(pageSize)) continue;
      const data = this.#image(this.#place, number);
      if (data === undefined) return undefined;
      pages.push({ number, data });
    }
    return { pageSize, pageCount, pages };
  }

  comparisons(): number {
    return this.#comparisons;
  }

  close(): void {
    this.#closed = true;
    this.#leave();
  }

  #leave(): void {
    if (this.#place !== undefined) closeFiles(this.#place.files);
    this.#place = undefined;
  }

  /** Reads without a lock and believes the bytes only when their hash is the one remembered. */
  #image({ files, frameOf }: Place, page: number): Uint8Array | undefined {
    const { pageSize } = this.#hashes;
    const frame = frameOf.get(page);
    const zeroFilled = (bytes: Uint8Array) => {
      const data = new Uint8Array(pageSize);
      data.set(bytes);
      return data;
    };
    const places = [{ file: files.database, offset: (page - 1) * pageSize }];
    if (frame !== undefined) {
      places.unshift({ file: files.log, offset: frameOffset(frame, pageSize) + FRAME_HEADER_BYTES });
    }
    for (const { file, offset } of places) {
      const data = zeroFilled(readAt(file, offset, pageSize));
      if (hashIs(this.#hashes, page, hashPage(data))) return data;
    }
    return undefined;
  }

  /** Undefined also when the commits have changed nothing. */
  #takeFolded(folded: Folded, pageSize: number): PageChanges | undefined {
    const before = this.#hashes.pageCount;
    const { pageCount } = folded;
    this.#hashes = resizeHashes(this.#hashes, pageSize, pageCount);
    const images = new Map([...folded.pages].map(([number, { data }]) => [number, data]));
    // A page that was allocated and freed again within a transaction may never have been written.
    for (let page = before + 1; page <= pageCount; page += 1) {
      if (!images.has(page)) images.set(page, new Uint8Array(pageSize));
    }
    const pages: Page[] = [];
    for (const number of [...images.keys()].sort((a, b) => a - b)) {
      const data = images.get(number)!;
      if (noteHash(this.#hashes, { page: number, before }, data)) pages.push({ number, data });
    }
    return pages.length === 0 && before === pageCount ? undefined : { pageSize, pageCount, pages };
  }

  #compareAll(): PageChanges | undefined {
    this.#leave();
    const found = readDatabaseHeader(this.#path);
    this.#refused = found.kind === "wal" ? "" : fingerprint(this.#path);
    if (found.kind === "absent") return undefined;
    if (found.kind !== "wal") {
      const what =
        found.kind === "rollback" ? "is not in WAL mode: set PRAGMA journal_mode=WAL" : "is no database";
      throw new DatabaseError("not-wal", `follow ${this.#path}: the file ${what}`);
    }
    return underReadLock(this.#path, (files) => this.#takeSnapshot(files));
  }

  #takeSnapshot(files: DatabaseFiles): PageChanges | undefined {
    this.#comparisons += 1;
    const snapshot = takeSnapshot(files);
    const { pageSize, pageCount } = snapshot;
    const before = this.#hashes.pageSize === pageSize ? this.#hashes.pageCount : 0;
    // A copy: what a failed attempt has seen does not count as read.
    const hashes = resizeHashes(copyHashes(this.#hashes), pageSize, pageCount);
    const pages: Page[] = [];
    visitPages(files, snapshot, (number, data) => {
      if (noteHash(hashes, { page: number, before }, data))
        pages.push({ number, data: new Uint8Array(data) });
    });
    this.#hashes = hashes;
    this.#place = { files, header: snapshot.header, frameOf: framesOf(snapshot.log) };
    return pages.length === 0 && before === pageCount ? undefined : { pageSize, pageCount, pages };
  }
}

/** Remembers the hash of a page; true when it is another one than before and the page is one that travels. */
function noteHash(
  table: PageHashes,
  { page, before }: { page: number; before: number },
  data: Uint8Array,
): boolean {
  const value = hashPage(data);
  const same = page <= before && hashIs(table, page, value);
  if (!same) setHash(table, page, value);
  return !same && page !== lockPage(table.pageSize);
}

function fingerprint(path: string): string {
  const stat = statOf(path);
  return stat === undefined ? "" : `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeMs}`;
}

function framesOf(log: Folded["pages"]): Map<number, number> {
  return new Map([...log].map(([page, { frame }]) => [page, frame]));
}

/** Reads on from `place` to the newest commit; undefined when it is not proven that nothing is missed by that. */
function readOn(path: string, place: Place): { place: Place; folded: Folded | undefined } | undefined {
  if (!filesAreCurrent(path, place.files)) return undefined;
  for (let attempt = 0; attempt < STEP_ATTEMPTS_MAX; attempt += 1) {
    const header = readIndexHeader(place.files);
    if (header === undefined) return undefined;
    const step = compareHeaders(place.header, header);
    switch (step) {
      case "unchanged":
        return { place: { ...place, header }, folded: undefined };
      case "grown": {
        const folded = readGrown(place, header);
        if (folded === undefined) break;
        for (const [page, { frame }] of folded.pages) place.frameOf.set(page, frame);
        return { place: { ...place, header }, folded };
      }
      case "renewed": {
        const folded = readRenewed(place, header);
        if (folded === undefined) return undefined;
        if (folded === "empty") return { place: { ...place, header, frameOf: new Map() }, folded: undefined };
        return { place: { ...place, header, frameOf: framesOf(folded.pages) }, folded };
      }
      case "unknown":
        return undefined;
    }
  }
  return undefined;
}

/** The frames after our last one; undefined when the log was begun anew after `header` was read. */
function readGrown({ files, header: from }: Place, header: IndexHeader): Folded | undefined {
  if (from.lastFrame === 0) return readLog(files, header);
  const first = from.lastFrame + 1;
  const frames = readFrames(files.log, { first, last: header.lastFrame, start: from });
  const folded = frames && foldFrames(frames, first, header.pageSize);
  return folded?.pageCount === header.pageCount ? folded : undefined;
}

/** The new generation from its first frame, when it is proven that we had read the old one to its end. */
function readRenewed({ files, header: from }: Place, header: IndexHeader): Folded | "empty" | undefined {
  const tailBytes = 2 * frameBytes(from.pageSize);
  if (!endedAt(readAt(files.log, frameOffset(from.lastFrame, from.pageSize), tailBytes), from))
    return undefined;
  if (header.lastFrame === 0) return commitsAddUp(from, header, 0) ? "empty" : undefined;
  const folded = readLog(files, header);
  return folded !== undefined && commitsAddUp(from, header, folded.commits) ? folded : undefined;
}

/**
 * Opens the files under a read transaction and hands them over; they stay open when `use` returns.
 * The connection is read-only, so that closing it never checkpoints or removes the application's log; and it is closed
 * before any of the files, see files.ts.
 */
function underReadLock<T>(path: string, use: (files: DatabaseFiles) => T): T {
  let files: DatabaseFiles | undefined;
  let done = false;
  try {
    const reader = new DatabaseSync(path, { readOnly: true, timeout: LOCK_WAIT_MS });
    try {
      reader.exec("BEGIN");
      // Takes the lock without reading the schema, which may need extensions that only the application has.
      reader.prepare("PRAGMA schema_version").get();
      files = openFiles(path, "r");
      const result = use(files);
      done = true;
      return result;
    } finally {
      reader.close();
    }
  } catch (error) {
    throw asDatabaseError(error, `follow ${path}`);
  } finally {
    if (!done && files !== undefined) closeFiles(files);
  }
}
