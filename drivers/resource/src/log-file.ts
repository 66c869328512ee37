/**
 * The output of an instance, in a file of bounded size with one older one beside it. The instance holds the file itself,
 * not a pipe to us: it must outlive the replicator. So a full file is copied aside and cut, as logrotate's copytruncate
 * does; what is written during the copy may be lost.
 */

import { closeSync, copyFileSync, fstatSync, openSync, readSync, statSync, truncateSync } from "node:fs";

export const LOG_BYTES_MAX = 8 * 1024 * 1024;
const TAIL_BYTES = 4096;
const PRIVATE_FILE = 0o600;

/** Opened for appending: after a cut every writer goes on at the new end. */
export function openLog(path: string): { readonly fd: number; readonly size: number } {
  const fd = openSync(path, "a", PRIVATE_FILE);
  return { fd, size: fstatSync(fd).size };
}

export function boundLog(path: string, bytesMax = LOG_BYTES_MAX): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= bytesMax) return;
  copyFileSync(path, `${path}.1`);
  truncateSync(path, 0);
}

/** The last text written at or after `from`. */
export function readLogTail(path: string, from: number): string {
  const fd = openSync(path, "r");
  try {
    const { size } = fstatSync(fd);
    const start = Math.max(size < from ? 0 : from, size - TAIL_BYTES);
    const buffer = Buffer.alloc(TAIL_BYTES);
    return buffer.toString("utf8", 0, readSync(fd, buffer, 0, TAIL_BYTES, start));
  } finally {
    closeSync(fd);
  }
}
