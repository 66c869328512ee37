/**
 * Applies changes to files and folders. A file that changes is written anew beside the state and put in place by a
 * rename, so that a reader sees one version of it. Nothing is ever written through a link.
 */

import { constants } from "node:fs";
import { chmod, lchown, lstat, mkdir, open, readdir, rename, rm, symlink, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Contents } from "./change.ts";
import { placeMoved, writeDraft } from "./draft.ts";
import { errnoOf, MirrorError } from "./error.ts";
import type { Entry, EntryKind } from "./manifest.ts";
import { parentOf } from "./paths.ts";
import type { Pins } from "./pins.ts";
import type { Plan, Planned } from "./plan.ts";
import type { Target } from "./target.ts";
import { scanTree } from "./tree.ts";

export type TreeTargetOptions = {
  readonly dir: string;
  readonly roots: readonly string[];
  /** For drafts; on the same file system as `dir`. */
  readonly workDir: string;
  readonly pins: Pins;
  readonly onError: (error: Error) => void;
};

export async function treeTarget({ dir, roots, workDir, pins, onError }: TreeTargetOptions): Promise<Target> {
  const staging = join(workDir, "staging");
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  await mkdir(dir, { recursive: true });
  const unsynced = new Set<string>();
  /** An earlier life of ours may have applied what it had no time to sync. */
  let isKnown = false;
  let drafts = 0;

  const place: Place = {
    at: (path) => join(dir, path),
    pins,
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
      const movable = movablePins(plan, pins);
      for (const [path, planned] of plan.paths) {
        await makeParents(dir, parentOf(path));
        await put(place, path, { planned, read, movable });
        place.touched(path);
      }
      // Last and from the leaves up: a folder may forbid writing into it.
      const folders = [...plan.paths].filter(([, { entry }]) => entry.kind === "folder").reverse();
      for (const [path, { entry }] of folders) {
        await own(place.at(path), entry);
        await chmod(place.at(path), entry.mode);
      }
    },
    async flush() {
      if (!isKnown) for await (const path of pathsIn(dir)) await syncPath(join(dir, path));
      for (const path of unsynced) await syncPath(path);
      isKnown = true;
      unsynced.clear();
    },
    pins,
    async pin(path, { isSynced = true } = {}) {
      for (let folder = parentOf(path); folder !== ""; folder = parentOf(folder)) {
        if ((await kindAt(place.at(folder))) !== "folder") throw noSource(path);
      }
      if ((await kindAt(place.at(path))) !== "file") throw noSource(path);
      const settled = isSynced && isKnown && !unsynced.has(place.at(path));
      return pins.pin(place.at(path), { path, isSynced: settled });
    },
    forget: () => unsynced.clear(),
    handOver: async () => undefined,
    close: () => undefined,
  };
}

/** The primary believes it is there: then we do not stand where it believes we do. */
function noSource(path: string): MirrorError {
  return new MirrorError("mismatch", `a copy of ${path}, which is not a file here`);
}

type Place = {
  readonly at: (path: string) => string;
  readonly pins: Pins;
  readonly draft: () => string;
  readonly touched: (path: string) => void;
};
type PutOptions = {
  planned: Planned;
  read: (slot: Planned["slots"][number]) => Promise<Contents>;
  movable: (pin: string) => boolean;
};

/**
 * Whether a pinned file may become the file at another path, once for each: only when it goes from where it was. Two paths of one
 * file would change together when an application writes to one of them after a promotion.
 */
function movablePins({ removes, paths }: Plan, pins: Pins): (pin: string) => boolean {
  const gone = new Set(removes);
  const moved = new Set<string>();
  return (pin) => {
    const path = pins.pathOf(pin);
    if (path === undefined || moved.has(path)) return false;
    const planned = paths.get(path);
    const leaves = planned ? planned.fresh || planned.slots.length > 0 : gone.has(path);
    if (leaves) moved.add(path);
    return leaves;
  };
}

/** Every folder on the way is a real one: a link there would lead the write out of the state. */
async function makeParents(dir: string, path: string): Promise<void> {
  if (path === "") return;
  await makeParents(dir, parentOf(path));
  const kind = await kindAt(join(dir, path));
  if (kind === undefined) await mkdir(join(dir, path));
  else if (kind !== "folder")
    throw new MirrorError("escape", `${path} is a ${kind} on the way to a mirrored path`);
}

async function put(place: Place, path: string, { planned, read, movable }: PutOptions): Promise<void> {
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
      return putFile(place, at, { planned, read, movable, base: found === "file" && !planned.fresh });
    case "database":
      throw new MirrorError("garbage", `${path}: a database in a state of files`);
  }
}

async function putLink(place: Place, at: string, entry: Entry): Promise<void> {
  const draft = place.draft();
  await symlink(entry.target, draft);
  await own(draft, entry);
  await rename(draft, at);
}

async function putFile(
  place: Place,
  at: string,
  { planned, read, movable, base }: PutOptions & { base: boolean },
): Promise<void> {
  const { entry, slots } = planned;
  const found = base ? await lstat(at) : undefined;
  // A file that other trees share must not change under them, not even in its mode.
  const isOwn = found?.size === entry.size && found.nlink === 1;
  if (isOwn && slots.length === 0) return finish(at, entry);
  const draft = place.draft();
  const moved = planned.copies && slots.length === 1 ? await read(slots[0]!) : undefined;
  if (!(moved && (await placeMoved(place.pins, draft, { moved, entry, movable })))) {
    const from = base ? at : undefined;
    await writeDraft(draft, { planned, read, base: from, pins: place.pins });
  }
  await finish(draft, entry);
  await rename(draft, at);
}

/** Only a privileged process may give files away; the others mirror what is in them. */
async function own(at: string, { uid, gid }: Entry): Promise<void> {
  if (process.geteuid?.() === 0) await lchown(at, uid, gid);
}

async function finish(at: string, entry: Entry): Promise<void> {
  await own(at, entry);
  await chmod(at, entry.mode);
  await utimes(at, entry.mtimeMs / 1000, entry.mtimeMs / 1000);
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

/** Everything below a folder, parents before children. */
export async function* pathsIn(top: string, below = ""): AsyncGenerator<string> {
  for (const entry of await readdir(join(top, below), { withFileTypes: true })) {
    const path = join(below, entry.name);
    yield path;
    if (entry.isDirectory()) yield* pathsIn(top, path);
  }
}
