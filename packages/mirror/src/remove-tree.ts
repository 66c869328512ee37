/** Removes a folder of our own with all that is in it, also where a folder in it forbids writing. */

import type { Dirent } from "node:fs";
import { open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf } from "./error.ts";

export async function removeTree(at: string): Promise<void> {
  await rm(at, { recursive: true, force: true }).catch(async (error) => {
    if (errnoOf(error) !== "EACCES" && errnoOf(error) !== "EPERM") throw error;
    await unlockFolders(at);
    await rm(at, { recursive: true, force: true });
  });
}

async function unlockFolders(at: string): Promise<void> {
  const folder = await open(at).catch(() => undefined);
  await folder?.chmod(0o700).finally(() => folder.close());
  const entries: Dirent[] = await readdir(at, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await unlockFolders(join(at, entry.name));
}
