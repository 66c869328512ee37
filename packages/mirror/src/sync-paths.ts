/** Brings paths of a folder to disk. Several at once: a journalling file system then takes them together. */

import { constants } from "node:fs";
import { open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "./error.ts";

const AT_ONCE = 16;

export async function syncPaths(dir: string, paths: Iterable<string>): Promise<void> {
  const rest = [...paths][Symbol.iterator]();
  const workers = Array.from({ length: AT_ONCE }, async () => {
    for (const path of rest) await syncPath(join(dir, path));
  });
  await Promise.all(workers);
}

/** Does nothing where there is nothing. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error) => {
    // Removed since, or a link, which has nothing of its own to sync; its folder is synced.
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR" || errnoOf(error) === "ELOOP")
      return undefined;
    throw error;
  });
  if (!file) return;
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Everything below a folder, parents before children. */
export async function* pathsIn(top: string, below = ""): AsyncGenerator<string> {
  for (const entry of await readdir(join(top, below), { withFileTypes: true })) {
    const path = join(below, entry.name);
    yield path;
    if (entry.isDirectory()) yield* pathsIn(top, path);
  }
}
