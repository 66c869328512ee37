/**
 * The record of one resource on disk, replaced by rename. It is written at once and in one go: a promotion waits for it, and behind
 * the mirror's own work in the thread pool a millisecond would become many. Its bytes are on the disk before its name is: a loss of
 * power must never leave an empty record. Where what a store that forgot is noticed by has risen, so is the name: it must not
 * be missing on both sides.
 */

import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Kept, parseKept } from "./record.ts";

export type RecordFile = {
  /** Undefined when there is none. Throws when it cannot be read: that is not the same. */
  read(): Kept | undefined;
  /**
   * Survives the death of this process when it returns, and that of the machine where epoch or revision rose.
   * Throws when it cannot be written.
   */
  keep(kept: Kept): void;
};

export function openRecordFile(path: string): RecordFile {
  let synced: Kept | undefined;
  return {
    read: () => {
      try {
        return parseKept(readFileSync(path, "utf8"));
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
        throw new Error(`the record ${path} cannot be used: ${(cause as Error).message}`, { cause });
      }
    },
    keep: (kept) => {
      const rose = synced === undefined || rises(synced, kept);
      const made = mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(`${path}.new`, JSON.stringify(kept), { mode: 0o600 });
      sync(`${path}.new`);
      renameSync(`${path}.new`, path);
      if (!rose) return;
      syncFolders(dirname(path), made);
      synced = kept;
    },
  };
}

function rises(before: Kept, now: Kept): boolean {
  const revision = ({ authority }: Kept) => authority?.inSyncRevision ?? 0;
  return now.highestEpoch > before.highestEpoch || revision(now) > revision(before);
}

/** A renamed file and a new folder are on disk when the folder that names them is. `made`: the uppermost folder that is new. */
function syncFolders(folder: string, made: string | undefined): void {
  sync(folder);
  if (made === undefined || !folder.startsWith(made)) return;
  syncFolders(dirname(folder), made);
}

function sync(path: string): void {
  const opened = openSync(path, "r");
  try {
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
}
