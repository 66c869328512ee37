/** Turns what the system says when a process cannot be started into one sentence and a code. */

import { ResourceError, type ResourceErrorCode } from "./driver.ts";

const PORT_TAKEN = /EADDRINUSE|address already in use/i;
const QUOTE_MAX = 200;

const CODES: Readonly<Record<string, { code: ResourceErrorCode; because: string }>> = {
  ENOENT: { code: "not-found", because: "there is no such program or folder" },
  ENOTDIR: { code: "refused", because: "a part of its path is not a folder" },
  EACCES: { code: "refused", because: "permission denied" },
  EPERM: { code: "refused", because: "permission denied" },
  EROFS: { code: "refused", because: "the file system is read-only" },
  ENOSPC: { code: "disk-full", because: "the disk is full" },
  EDQUOT: { code: "disk-full", because: "the disk quota is used up" },
  EMFILE: { code: "start-failed", because: "too many files are open in this process" },
  ENFILE: { code: "start-failed", because: "too many files are open on this machine" },
  EAGAIN: { code: "start-failed", because: "the limit of processes is reached" },
};

/** `what` says what could not be done: "cannot start catalog.catalog-1". */
export function asResourceError(error: unknown, what: string): ResourceError {
  if (error instanceof ResourceError) return error;
  const { code = "", path, message } = error as NodeJS.ErrnoException;
  const known = CODES[code];
  if (!known) return new ResourceError("start-failed", `${what}: ${message}`, { cause: error });
  return new ResourceError(known.code, `${what}: ${known.because}${path ? ` (${path})` : ""}`, {
    cause: error,
  });
}

/** Of a process that ended right after its start, from what it said last. */
export function explainSpawnFailure(
  name: string,
  { ended, output, logPath }: { ended: string; output: string; logPath: string },
): { portTaken: boolean; why: string } {
  const portTaken = PORT_TAKEN.test(output);
  const said = portTaken ? "its port was taken by another program" : lastLine(output);
  return {
    portTaken,
    why: `${name} ended at once with ${ended}: ${said || "it said nothing"} (see ${logPath})`,
  };
}

function lastLine(output: string): string {
  const lines = output.split("\n").map((line) => line.trim());
  // Node prints its version last; the error itself comes before the stack.
  const errorLine = lines.findLast((line) => /\berror\b/i.test(line) && !line.startsWith("at "));
  return (errorLine ?? lines.findLast((line) => line !== "") ?? "").slice(0, QUOTE_MAX);
}
