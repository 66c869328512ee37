/** The one error of this package; its closed code says what a caller can do about it. */

export type MirrorErrorCode =
  /** A peer sent what is not our protocol, or broke its rules. */
  | "garbage"
  /** The other end speaks another version of our protocol. */
  | "version"
  /** The other end refused us and said why. */
  | "refused"
  | "stale-epoch"
  /** A timestamp too far ahead of our own clock. */
  | "clock"
  /** A path or link that leads out of the mirrored state. */
  | "escape"
  /** A delta whose content does not add up to the root hash it claims. */
  | "mismatch"
  | "disk-full"
  /** Our own disk or the captured state could not be read or written. */
  | "io"
  | "unreachable"
  | "unauthorized"
  | "closed";

export class MirrorError extends Error {
  readonly code: MirrorErrorCode;
  constructor(code: MirrorErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "MirrorError";
    this.code = code;
  }
}

/** A failure of the file system in our words; `what` is the activity: "journal of catalog-1". */
export function diskError(what: string, cause: unknown): MirrorError {
  if (cause instanceof MirrorError) return cause;
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new MirrorError("disk-full", `${what}: no space left; free some, it is tried again by itself`, {
      cause,
    });
  }
  return new MirrorError("io", `${what}: ${message}`, { cause });
}

export function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
