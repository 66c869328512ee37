/**
 * Keeps contents that a journalled copy refers to. A pin is a hard link to the file as it is now: the shadow replaces files
 * and never writes into them, so the pin shows the same bytes whatever happens to the path, costs no space while the file
 * is there, and makes applying a copy again after a crash harmless. Pins live as long as the journal that names them.
 */

import { constants } from "node:fs";
import { copyFile, type FileHandle, link, mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, MirrorError } from "./error.ts";

export interface Pins {
  /** Of a regular file; resolves with the pin's name. Durable after `sync`, which syncs contents unless they are already. */
  pin(file: string, options: { path: string; isSynced: boolean }): Promise<string>;
  /** The path in the state that it was made of; nobody knows after the shadow was opened again. */
  pathOf(name: string): string | undefined;
  /** The name of a pin that whoever asked makes and syncs himself: a landing (landing.ts). */
  reserve(): string;
  /** Nothing but the pin has these contents yet. Not known after the shadow was opened again. */
  isLanding(name: string): boolean;
  at(name: string): string;
  open(name: string): Promise<FileHandle>;
  sync(): Promise<void>;
  clear(): Promise<void>;
}

/** Where hard links are not to be had: other names of one file are full, or the file system has none. */
const UNLINKABLE = new Set(["EMLINK", "EPERM", "EOPNOTSUPP", "ENOSYS", "EXDEV"]);
const NAME = /^[0-9]{1,15}$/;

export async function openPins(dir: string): Promise<Pins> {
  await mkdir(dir, { recursive: true });
  let number = Math.max(0, ...(await readdir(dir)).filter((name) => NAME.test(name)).map(Number));
  /** Paths; the folder itself when any link is. */
  const unsynced = new Set<string>();
  const paths = new Map<string, string>();
  const landings = new Set<string>();

  function at(name: string): string {
    if (!NAME.test(name)) throw new MirrorError("io", `the journal names a pin "${name.slice(0, 100)}"`);
    return join(dir, name);
  }

  function nextName(): string {
    number += 1;
    unsynced.add(dir);
    return String(number);
  }

  return {
    at,
    pathOf: (name) => paths.get(name),
    reserve() {
      const name = nextName();
      landings.add(name);
      return name;
    },
    isLanding: (name) => landings.has(name),
    async pin(file, { path, isSynced }) {
      const name = nextName();
      paths.set(name, path);
      if (!(await isLinked(file, at(name)))) {
        await copyFile(file, at(name), constants.COPYFILE_FICLONE);
        unsynced.add(at(name));
      } else if (!isSynced) unsynced.add(at(name));
      return name;
    },
    open: (name) => open(at(name), constants.O_RDONLY | constants.O_NOFOLLOW),
    async sync() {
      for (const path of [...unsynced]) {
        const file = await open(path, constants.O_RDONLY);
        await file.sync().finally(() => file.close());
        unsynced.delete(path);
      }
    },
    async clear() {
      unsynced.clear();
      paths.clear();
      landings.clear();
      for (const name of await readdir(dir)) await rm(join(dir, name), { force: true });
    },
  };
}

async function isLinked(file: string, name: string): Promise<boolean> {
  try {
    await link(file, name);
    return true;
  } catch (error) {
    if (UNLINKABLE.has(errnoOf(error))) return false;
    throw error;
  }
}
