/** What can go wrong with a followed or replicated database; the caller may try again after "busy" and "torn". */

export type DatabaseErrorCode = "busy" | "torn" | "not-wal" | "incomplete" | "unsupported" | "closed";

export class DatabaseError extends Error {
  readonly code: DatabaseErrorCode;
  constructor(code: DatabaseErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "DatabaseError";
    this.code = code;
  }
}

const SQLITE_BUSY = 5;

/** Translates what node:sqlite throws when somebody else holds a lock; every other error is returned as it is. */
export function asDatabaseError(error: unknown, doing: string): unknown {
  if (!(error instanceof Error) || !("errcode" in error) || typeof error.errcode !== "number") return error;
  // The low byte is the primary result code; SQLITE_BUSY_RECOVERY and the like carry more above it.
  if ((error.errcode & 0xff) !== SQLITE_BUSY) return error;
  return new DatabaseError("busy", `${doing}: ${error.message}`, { cause: error });
}
