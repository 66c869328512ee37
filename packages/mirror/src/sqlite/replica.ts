/** A shadow's copy of a SQLite database: whole transactions appear under SQLite's own locks to readers that have it open. */

import type { PageChanges } from "./pages.ts";

export interface DatabaseReplica {
  /**
   * Applies as one transaction; visible to every reader when it returns. After a kill, applying the same again is harmless.
   * Throws DatabaseError: "busy" when somebody else holds the write lock for too long, "incomplete" when pages are missing
   * that must come with these changes; nothing has changed then.
   */
  apply(changes: PageChanges): void;
  /** When it returns, all that was applied survives a power loss; until then the caller keeps its journal of it. */
  sync(): void;
  /** Hash of each page, index 0 is page 1; empty when there is no database yet. The page with SQLite's lock byte counts as zeros. */
  pageHashes(): { pageSize: number; hashes: readonly Uint8Array[] };
  /** Lets go of the database, so that the application becomes its only writer. */
  close(): void;
}

/**
 * Opens the copy at `path`, or creates it with the first changes applied. The application opens it after that, in another
 * process, and for reading only until `close`.
 */
export type OpenReplica = (path: string) => DatabaseReplica;
