/** A shadow's copy of a SQLite database: whole transactions appear under SQLite's own locks to readers that have it open. */

import type { PageChanges } from "./pages.ts";

export interface DatabaseReplica {
  /** Applies as one transaction; visible to every reader when it returns. After a kill, applying the same again is harmless. */
  apply(changes: PageChanges): void;
  /** Hash of each page, index 0 is page 1; empty when there is no database yet. */
  pageHashes(): { pageSize: number; hashes: readonly Uint8Array[] };
  /** Lets go of the database, so that the application becomes its only writer. */
  close(): void;
}

/** Opens or creates the copy at `path` in WAL mode. */
export type OpenReplica = (path: string) => DatabaseReplica;
