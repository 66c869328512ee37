/**
 * Where a run keeps its files: `.understudy/run/<id>` in the checkout, so that people find them, or the system's temporary
 * folder when that is not writable or too long a path for the Unix sockets that go there.
 */

import { randomBytes } from "node:crypto";
import { accessSync, constants, mkdirSync, readdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** sun_path holds 108 bytes, with room for a name like "haproxy/admin.sock" and HAProxy's temporary suffix. */
const SOCKET_FOLDER_BYTES_MAX = 72;

export const REPOSITORY = resolve(import.meta.dirname, "../../..");
/** Everything we download or start lives here; never committed. */
export const OWN_FOLDER = join(REPOSITORY, ".understudy");

export function newRunId(): string {
  return randomBytes(6).toString("hex");
}

/** Makes the folder of a run, readable by its owner alone. */
export function createRunFolder(id: string): string {
  for (const parent of runParents()) {
    const folder = join(parent, id);
    if (Buffer.byteLength(folder) > SOCKET_FOLDER_BYTES_MAX && parent !== runParents().at(-1)) continue;
    if (!isWritable(parent)) continue;
    mkdirSync(folder, { mode: 0o700 });
    return folder;
  }
  throw new Error(`cannot write to ${runParents().join(" nor to ")}: free space or change the permissions`);
}

/** Folders of all runs that are on disk, the newest first. */
export function listRunFolders(): string[] {
  const found = runParents().flatMap((parent) => childFolders(parent));
  return found.sort((a, b) => b.madeMs - a.madeMs).map(({ path }) => path);
}

function runParents(): string[] {
  return [join(OWN_FOLDER, "run"), join(tmpdir(), `understudy-${process.getuid?.() ?? "run"}`)];
}

function isWritable(folder: string): boolean {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    accessSync(folder, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function childFolders(parent: string): { path: string; madeMs: number }[] {
  try {
    return readdirSync(parent).map((name) => ({
      path: join(parent, name),
      madeMs: statSync(join(parent, name)).birthtimeMs,
    }));
  } catch {
    // Nothing was ever run from there, or a run ended while we looked.
    return [];
  }
}
