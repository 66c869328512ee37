/**
 * Makes one path of a tree that nobody reads the same as in another tree, by sharing: a file or link becomes a hard link, a
 * folder is made where it is missing. Synchronous, because it is a few short system calls for each path. Where the file
 * system knows no hard links, the file is copied.
 */

import {
  chmodSync,
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  rmSync,
  type Stats,
  utimesSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { errnoOf } from "./error.ts";
import { lstatIn, own } from "./tree-writer.ts";

const NO_LINKS = new Set(["EPERM", "EMLINK", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

export type Trees = { readonly from: string; readonly to: string };

/** Says what there is now. */
export function relinkPath({ from, to }: Trees, path: string): "folder" | "file" | "nothing" {
  const [source, at] = [join(from, path), join(to, path)];
  const wanted = lstatIn(source);
  const found = lstatIn(at);
  if (wanted?.isDirectory()) {
    matchFolder(at, { wanted, found });
    return "folder";
  }
  if (wanted && found?.ino === wanted.ino && found.dev === wanted.dev) return "file";
  if (found) rmSync(at, { recursive: true, force: true });
  if (!wanted) return "nothing";
  shareFile(source, at, wanted);
  return "file";
}

/** For a tree that is being made: there is nothing yet, and its folders come before what is in them. */
export function linkNew({ from, to }: Trees, path: string): void {
  const [source, at] = [join(from, path), join(to, path)];
  const wanted = lstatSync(source);
  if (wanted.isDirectory()) matchFolder(at, { wanted, found: undefined });
  else shareFile(source, at, wanted);
}

function matchFolder(at: string, { wanted, found }: { wanted: Stats; found: Stats | undefined }): void {
  if (found && !found.isDirectory()) rmSync(at, { force: true });
  if (!found?.isDirectory()) mkdirSync(at, { recursive: true });
  const isSame = found?.mode === wanted.mode && found.uid === wanted.uid && found.gid === wanted.gid;
  if (isSame) return;
  own(at, wanted);
  chmodSync(at, wanted.mode & 0o7777);
}

function shareFile(source: string, at: string, stats: Stats): void {
  try {
    linkInto(source, at);
  } catch (error) {
    if (!NO_LINKS.has(errnoOf(error)) || stats.isSymbolicLink()) throw error;
    copyFileSync(source, at, constants.COPYFILE_FICLONE);
    own(at, stats);
    chmodSync(at, stats.mode & 0o7777);
    utimesSync(at, stats.atimeMs / 1000, stats.mtimeMs / 1000);
  }
}

/** A folder on the way may be one that this tree does not have yet. */
function linkInto(source: string, at: string): void {
  try {
    linkSync(source, at);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    mkdirSync(dirname(at), { recursive: true });
    linkSync(source, at);
  }
}
