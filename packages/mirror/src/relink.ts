/**
 * Makes one path of a tree the same as in another tree, by sharing: a file or link becomes a hard link, a folder is made
 * where it is missing. Synchronous, because it is a few short system calls for each path. Where the file system knows no
 * hard links, the file is copied.
 */

import {
  chmodSync,
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  renameSync,
  rmSync,
  type Stats,
  utimesSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "./error.ts";

const NO_LINKS = new Set(["EPERM", "EMLINK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

export function relinkPath({
  from,
  to,
  path,
  draft,
}: {
  from: string;
  to: string;
  path: string;
  /** A free name on the same file system, outside both trees. */
  draft: string;
}): void {
  const [source, at] = [join(from, path), join(to, path)];
  const wanted = foundAt(source);
  const found = foundAt(at);
  if (!wanted) {
    if (found) rmSync(at, { recursive: true, force: true });
    return;
  }
  if (wanted.isDirectory()) matchFolder(at, { wanted, found });
  else matchFile(at, { source, draft, wanted, found });
}

function matchFile(
  at: string,
  {
    source,
    draft,
    wanted,
    found,
  }: { source: string; draft: string; wanted: Stats; found: Stats | undefined },
): void {
  // A rename onto another name of the same file does nothing, and would leave the draft.
  if (found?.ino === wanted.ino && found.dev === wanted.dev) return;
  if (found?.isDirectory()) rmSync(at, { recursive: true, force: true });
  mkdirSync(dirname(at), { recursive: true });
  shareFile(source, draft, wanted);
  renameSync(draft, at);
}

function matchFolder(at: string, { wanted, found }: { wanted: Stats; found: Stats | undefined }): void {
  if (found && !found.isDirectory()) rmSync(at, { force: true });
  if (!found?.isDirectory()) mkdirSync(at, { recursive: true });
  if (found?.mode !== wanted.mode) chmodSync(at, wanted.mode & 0o7777);
}

function shareFile(source: string, draft: string, stats: Stats): void {
  try {
    linkSync(source, draft);
  } catch (error) {
    if (!NO_LINKS.has(errnoOf(error)) || stats.isSymbolicLink()) throw error;
    copyFileSync(source, draft, constants.COPYFILE_FICLONE);
    utimesSync(draft, stats.atimeMs / 1000, stats.mtimeMs / 1000);
  }
}

/** Below a file there is nothing, and nothing is where no path leads: what could not be made has not been. */
function foundAt(at: string): Stats | undefined {
  try {
    return lstatSync(at, { throwIfNoEntry: false });
  } catch (error) {
    if (["ENOTDIR", "ENAMETOOLONG"].includes(errnoOf(error))) return undefined;
    throw error;
  }
}
