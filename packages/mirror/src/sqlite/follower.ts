/** Follows a live SQLite database (WAL mode) from outside its process, transaction by transaction, without stopping it. */

import type { PageChanges } from "./pages.ts";

export interface DatabaseFollower {
  /**
   * All that was committed since the last call, as of now; the first call returns the whole database. Undefined when nothing was committed.
   * A log that was reset before it was read is noticed, and the changed pages are then found by their hashes.
   */
  read(): PageChanges | undefined;
  /** Cheap: has anything been committed since the last read? */
  pending(): boolean;
  /** Images of these pages as of the last `read`, or undefined when newer commits have replaced one: read again and ask again. */
  images(numbers: readonly number[]): PageChanges | undefined;
  /** How often the whole database was compared instead of the log read on: 1 after the first read, and rarely more. */
  comparisons(): number;
  close(): void;
}

/** Opens the follower with hashes of what its shadows already hold, so that the first `read` returns only what differs. */
export type FollowDatabase = (
  path: string,
  known?: { pageSize: number; hashes: readonly Uint8Array[] },
) => DatabaseFollower;
