/**
 * Sees what changed in a live state. tree.ts for files and folders, databases.ts for SQLite, image.ts
 * for a block image with a change map, bundle.ts for contents known by their hashes. A capture keeps the
 * manifest of the newest version; what it hands out as changes and what the manifest says are always the same bytes.
 */

import type { Change } from "./change.ts";
import type { Manifest } from "./manifest.ts";

/** More than this at once is not held in memory: shadows then find the differing blocks by their hashes. */
export const CHANGES_BYTES_MAX = 32 * 1024 * 1024;

export interface Capture {
  readonly manifest: Manifest;
  /** Cheap: is there probably something to take? */
  pending(): boolean;
  /** Brings the manifest up to now, including everything written before the call. */
  take(): Promise<ChangeList>;
  /** Contents of these blocks as they are now, laid end to end; undefined when the path no longer has them. */
  read(path: string, indexes: readonly number[]): Promise<Uint8Array | undefined>;
  close(): void;
}

/** Changes up to a bound; beyond it only the fact that there were more. */
export type ChangeList = {
  add(change: Change): void;
  /** Bytes of blocks that it would still hold. */
  readonly room: number;
  /** From now on it only counts. */
  overflow(): void;
  readonly count: number;
  /** Of the blocks that were added, held or not. */
  readonly bytes: number;
  /** Undefined when they were too many to hold. */
  readonly changes: readonly Change[] | undefined;
};

export function changeList(bytesMax = CHANGES_BYTES_MAX): ChangeList {
  let held: Change[] | undefined = [];
  let bytes = 0;
  let count = 0;
  return {
    add(change) {
      count += 1;
      bytes += change.op === "blocks" ? change.data.length : 0;
      if (bytes > bytesMax) held = undefined;
      held?.push(change);
    },
    get room() {
      return held ? bytesMax - bytes : 0;
    },
    overflow() {
      held = undefined;
    },
    get bytes() {
      return bytes;
    },
    get count() {
      return count;
    },
    get changes() {
      return held;
    },
  };
}
