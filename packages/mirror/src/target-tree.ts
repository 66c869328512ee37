/**
 * Applies changes to files and folders. A file that changes is written anew beside the state and put in place by a
 * rename, so that a reader sees one version of it. Nothing is ever written through a link.
 */

import { constants } from "node:fs";
import {
  chmod,
  copyFile,
  type FileHandle,
  lstat,
  mkdir,
  open,
  rename,
  rm,
  symlink,
  utimes,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { runsOf } from "./blocks.ts";
import { errnoOf, MirrorError } from "./error.ts";
import type { Entry, EntryKind } from "./manifest.ts";
import { parentOf } from "./paths.ts";
import type { Planned } from "./plan.ts";
import type { BlocksChange, Target } from "./target.ts";
import { scanTree } from "./tree.ts";
import { writeWhole } from "./whole-io.ts";

export type TreeTargetOptions = {
  readonly dir: string;
  readonly roots: readonly string[];
  /** For drafts; on the same file system as `dir`. */
  readonly workDir: string;
  readonly onError: (error: Error) => void;
};

export async function treeTarget({ dir, roots, workDir, onError }: TreeTargetOptions): Promise<Target> {
  const staging = join(workDir, "staging");
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  await mkdir(dir, { recursive: true });
  const unsynced = new Set<string>();
  let drafts = 0;

  const place: Place = {
    at: (path) => join(dir, path),
    draft() {
      drafts += 1;
      return join(staging, String(drafts));
    },
    touched(path) {
      unsynced.add(join(dir, path));
      unsynced.add(dirname(join(dir, path)));
    },
  };

  return {
    accepts: (kind) => kind !== "database",
    scan: () => scanTree({ dir, roots, onError }),
    async apply(plan, read) {
      for (const path of plan.removes) {
        if (plan.paths.has(path)) continue;
        await rm(place.at(path), { recursive: true, force: true });
        place.touched(path);
      }
      for (const [path, planned] of plan.paths) {
        await makeParents(dir, parentOf(path));
        await put(place, path, { planned, read });
        place.touched(path);
      }
      // Last and from the leaves up: a folder may forbid writing into it.
      const folders = [...plan.paths].filter(([, { entry }]) => entry.kind === "folder").reverse();
      for (const [path, { entry }] of folders) await chmod(place.at(path), entry.mode);
    },
    async flush() {
      for (const path of unsynced) await syncPath(path);
      unsynced.clear();
    },
    forget: () => unsynced.clear(),
    handOver: async () => undefined,
    close: () => undefined,
  };
}

type Place = {
  readonly at: (path: string) => string;
  readonly draft: () => string;
  readonly touched: (path: string) => void;
};
type PutOptions = { planned: Planned; read: (slot: Planned["slots"][number]) => Promise<BlocksChange> };

/** Every folder on the way is a real one: a link there would lead the write out of the state. */
async function makeParents(dir: string, path: string): Promise<void> {
  if (path === "") return;
  await makeParents(dir, parentOf(path));
  const kind = await kindAt(join(dir, path));
  if (kind === undefined) await mkdir(join(dir, path));
  else if (kind !== "folder")
    throw new MirrorError("escape", `${path} is a ${kind} on the way to a mirrored path`);
}

async function put(place: Place, path: string, { planned, read }: PutOptions): Promise<void> {
  const at = place.at(path);
  const found = await kindAt(at);
  const wanted = planned.entry.kind;
  const isOther = found !== undefined && found !== wanted;
  if (isOther && (found === "folder" || wanted === "folder")) await rm(at, { recursive: true, force: true });
  switch (wanted) {
    case "folder":
      if (found !== "folder") await mkdir(at);
      return;
    case "link":
      return putLink(place, at, planned.entry);
    case "file":
      return putFile(place, at, { planned, read, base: found === "file" && !planned.fresh });
    case "database":
      throw new MirrorError("garbage", `${path}: a database in a state of files`);
  }
}

async function putLink(place: Place, at: string, entry: Entry): Promise<void> {
  const draft = place.draft();
  await symlink(entry.target, draft);
  await rename(draft, at);
}

async function putFile(
  place: Place,
  at: string,
  { planned: { entry, slots }, read, base }: PutOptions & { base: boolean },
): Promise<void> {
  const found = base ? await lstat(at) : undefined;
  // A file that other trees share must not change under them, not even in its mode.
  const isOwn = found?.size === entry.size && found.nlink === 1;
  if (isOwn && slots.length === 0) return finish(at, entry);
  const draft = place.draft();
  if (base) {
    await copyFile(at, draft, constants.COPYFILE_FICLONE);
    await chmod(draft, 0o600);
  }
  const file = await open(draft, base ? "r+" : "wx", 0o600);
  try {
    for (const slot of slots) await writeBlocks(file, await read(slot));
    await file.truncate(entry.size);
  } finally {
    await file.close();
  }
  await finish(draft, entry);
  await rename(draft, at);
}

async function finish(at: string, entry: Entry): Promise<void> {
  await chmod(at, entry.mode);
  await utimes(at, entry.mtimeMs / 1000, entry.mtimeMs / 1000);
}

async function writeBlocks(file: FileHandle, { indexes, blockSize, data }: BlocksChange): Promise<void> {
  let from = 0;
  for (const { first, count } of runsOf(indexes)) {
    const piece = data.subarray(from, from + count * blockSize);
    await writeWhole(file, piece, first * blockSize);
    from += piece.length;
  }
}

async function kindAt(path: string): Promise<EntryKind | "special" | undefined> {
  const stats = await lstat(path).catch((error) => {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  });
  if (!stats) return undefined;
  if (stats.isDirectory()) return "folder";
  if (stats.isSymbolicLink()) return "link";
  return stats.isFile() ? "file" : "special";
}

/** Does nothing where there is nothing. */
export async function syncPath(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error) => {
    // Removed since, or a link, which has nothing of its own to sync; its folder is synced.
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ELOOP") return undefined;
    throw error;
  });
  if (!file) return;
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
