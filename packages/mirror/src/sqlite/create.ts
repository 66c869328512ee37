/** Writes a whole database as a file and puts it in place under its name, or leaves everything as it was. */

import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import type { PageChanges } from "./pages.ts";

/** Writes and syncs the file beside its place; returns its name. */
export function writeDatabase(path: string, { pageSize, pages }: PageChanges): string {
  const fresh = `${path}.understudy-new`;
  const file = openSync(fresh, "w", 0o644);
  try {
    for (const { number, data } of pages) {
      for (let done = 0; done < pageSize; ) {
        done += writeSync(file, data, done, pageSize - done, (number - 1) * pageSize + done);
      }
    }
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  return fresh;
}

/** Nobody has the old database open any more; its log and index go first, because they would be taken for the new one's. */
export function putInPlace(fresh: string, path: string): void {
  for (const suffix of ["-wal", "-shm", "-journal"]) rmSync(path + suffix, { force: true });
  renameSync(fresh, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
