/** The record of one resource on disk: replaced by rename, written one at a time, the newest next. */

import { readFileSync } from "node:fs";
import { mkdir, rename, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type Kept, parseKept } from "./record.ts";

export type RecordFile = {
  /** Undefined when there is none. Throws when it cannot be read: that is not the same. */
  read(): Kept | undefined;
  keep(kept: Kept): void;
  /** Resolves when everything kept so far is on disk. */
  flushed(): Promise<void>;
};

export function openRecordFile(path: string, onError: (error: Error) => void): RecordFile {
  let waiting: Kept | undefined;
  let writing: Promise<void> | undefined;

  async function writeAll(): Promise<void> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    for (let kept = waiting; kept; kept = waiting) {
      waiting = undefined;
      await writeFile(`${path}.new`, JSON.stringify(kept), { mode: 0o600 });
      await rename(`${path}.new`, path);
    }
  }

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
      waiting = kept;
      writing ??= writeAll()
        .catch((error: Error) => onError(error))
        .finally(() => {
          writing = undefined;
        });
    },
    flushed: () => writing ?? Promise.resolve(),
  };
}
