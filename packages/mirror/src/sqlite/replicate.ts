/**
 * A shadow's copy of a live database. Each batch of changes becomes one transaction in the copy's own write-ahead log,
 * while node:sqlite holds the write lock; readers never wait and never see half of it.
 *
 * Killed at any point, the copy is at one version or the next: a transaction that was not published is overwritten, one
 * whose frames were complete may be found by SQLite's own recovery. The caller applies the last one again, which sets
 * the same pages to the same content; so nothing needs to be written down here beforehand.
 *
 * A change of the page size replaces the file: readers that have the old one open must connect anew.
 */

import { fdatasyncSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { appendTransaction } from "./append.ts";
import { checkChanges } from "./changes.ts";
import { type Checkpointer, createCheckpointer } from "./checkpoint.ts";
import { putInPlace, writeDatabase } from "./create.ts";
import { asDatabaseError, DatabaseError } from "./errors.ts";
import {
  closeFiles,
  type DatabaseFiles,
  openFiles,
  readAt,
  readDatabaseHeader,
  readIndexHeader,
} from "./files.ts";
import { hashPage } from "./page-hashes.ts";
import type { PageChanges } from "./pages.ts";
import type { DatabaseReplica, OpenReplica } from "./replica.ts";
import { measure, takeSnapshot, visitPages } from "./snapshot.ts";
import { BACKFILLED_OFFSET } from "./walindex.ts";

const LOCK_WAIT_MS = 1000;
/** A log this long is copied into the database in the background, and again after as many frames more. */
const CHECKPOINT_FRAMES = 1000;
/** A log this long is begun anew, once few frames of it are left to copy, or when it has become too long anyway. */
const RENEW_FRAMES = 4000;
const RENEW_LEFT_FRAMES_MAX = 256;
const RENEW_ALWAYS_FRAMES = 16_000;
/** How long to wait for readers that are still in the log; after a failure, how many frames until the next try. */
const RENEW_WAIT_MS = 20;
const RENEW_RETRY_FRAMES = 500;

type Open = {
  readonly connection: DatabaseSync;
  readonly files: DatabaseFiles;
  readonly checkpointer: Checkpointer;
  readonly pageSize: number;
};

export const openReplica: OpenReplica = (path) => new LogReplica(path);

class LogReplica implements DatabaseReplica {
  readonly #path: string;
  #open: Open | undefined;
  #closed = false;
  #checkpointAt = CHECKPOINT_FRAMES;
  #renewAt = RENEW_FRAMES;

  constructor(path: string) {
    this.#path = path;
    this.#open = openDatabase(path);
  }

  apply(changes: PageChanges): void {
    this.#refuseClosed();
    if (this.#open?.pageSize === changes.pageSize) this.#append(this.#open, changes);
    else this.#replace(changes);
  }

  sync(): void {
    this.#refuseClosed();
    if (this.#open !== undefined) fdatasyncSync(this.#open.files.log);
  }

  pageHashes(): { pageSize: number; hashes: readonly Uint8Array[] } {
    this.#refuseClosed();
    if (this.#open === undefined) return { pageSize: 0, hashes: [] };
    const { connection, files } = this.#open;
    return this.#underWriteLock(connection, () => {
      const snapshot = takeSnapshot(files);
      const hashes: Uint8Array[] = [];
      visitPages(files, snapshot, (_, data) => hashes.push(hashPage(data)));
      return { pageSize: snapshot.pageSize, hashes };
    });
  }

  close(): void {
    this.#closed = true;
    if (this.#open !== undefined) closeDatabase(this.#open);
    this.#open = undefined;
  }

  #refuseClosed(): void {
    if (this.#closed) throw new DatabaseError("closed", `replica ${this.#path}: closed`);
  }

  #underWriteLock<T>(connection: DatabaseSync, use: () => T): T {
    try {
      connection.exec("BEGIN IMMEDIATE");
    } catch (error) {
      throw asDatabaseError(error, `replica ${this.#path}`);
    }
    try {
      return use();
    } finally {
      // Also after a failure: see append.ts.
      connection.exec("COMMIT");
    }
  }

  #append(open: Open, changes: PageChanges): void {
    const { connection, files, checkpointer } = open;
    this.#renewLog(open);
    this.#underWriteLock(connection, () => appendChanges(files, changes));
    const lastFrame = lastFrameOf(files);
    if (lastFrame < this.#checkpointAt) return;
    this.#checkpointAt = lastFrame + CHECKPOINT_FRAMES;
    checkpointer.start();
  }

  #replace(changes: PageChanges): void {
    checkChanges(changes, 0);
    const fresh = writeDatabase(this.#path, changes);
    if (this.#open !== undefined) closeDatabase(this.#open);
    this.#open = undefined;
    putInPlace(fresh, this.#path);
    this.#open = openDatabase(this.#path);
    this.#forgetLog();
  }

  #forgetLog(): void {
    this.#checkpointAt = CHECKPOINT_FRAMES;
    this.#renewAt = RENEW_FRAMES;
  }

  /** SQLite begins a log anew only when it writes itself; here that takes a checkpoint that empties the log. */
  #renewLog({ connection, files, checkpointer }: Open): void {
    const lastFrame = lastFrameOf(files);
    if (lastFrame < this.#renewAt || !checkpointer.idle()) return;
    const left = lastFrame - framesCopied(files);
    if (left > RENEW_LEFT_FRAMES_MAX && lastFrame < RENEW_ALWAYS_FRAMES) return;
    connection.exec(`PRAGMA busy_timeout=${RENEW_WAIT_MS}`);
    const result = connection.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
    connection.exec(`PRAGMA busy_timeout=${LOCK_WAIT_MS}`);
    if (result?.busy === 0) this.#forgetLog();
    else this.#renewAt = lastFrame + RENEW_RETRY_FRAMES;
  }
}

/** Undefined when there is no database at `path`, or none that SQLite could open: the first changes replace it. */
function openDatabase(path: string): Open | undefined {
  const found = readDatabaseHeader(path);
  if (found.kind === "absent" || found.kind === "foreign") return undefined;
  const connection = new DatabaseSync(path, { timeout: LOCK_WAIT_MS });
  try {
    connection.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0");
    // The log and its index come into being with the first transaction.
    connection.exec("BEGIN IMMEDIATE; COMMIT");
    const files = openFiles(path, "r+");
    return { connection, files, checkpointer: createCheckpointer(path), pageSize: found.pageSize };
  } catch (error) {
    connection.close();
    throw asDatabaseError(error, `replica ${path}`);
  }
}

/** The connections first: closing a file of theirs under them would drop their locks. */
function closeDatabase({ connection, files, checkpointer }: Open): void {
  checkpointer.close();
  connection.close();
  closeFiles(files);
}

/** Under the write lock. */
function appendChanges(files: DatabaseFiles, changes: PageChanges): void {
  checkChanges(changes, measure(files).pageCount);
  if (changes.pages.length > 0) appendTransaction(files, changes);
}

function lastFrameOf(files: DatabaseFiles): number {
  return readIndexHeader(files)?.lastFrame ?? 0;
}

function framesCopied(files: DatabaseFiles): number {
  const bytes = readAt(files.index, BACKFILLED_OFFSET, 4);
  return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
}
