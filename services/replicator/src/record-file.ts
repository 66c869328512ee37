/**
 * The record of one resource on disk, replaced by rename. It is written at once and in one go: a promotion waits for it, and behind
 * the mirror's own work in the thread pool a millisecond would become many.
 */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Kept, parseKept } from "./record.ts";

export type RecordFile = {
  /** Undefined when there is none. Throws when it cannot be read: that is not the same. */
  read(): Kept | undefined;
  /** Survives the death of this process when it returns. Throws when it cannot be written. */
  keep(kept: Kept): void;
};

export function openRecordFile(path: string): RecordFile {
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
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(`${path}.new`, JSON.stringify(kept), { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
  };
}
