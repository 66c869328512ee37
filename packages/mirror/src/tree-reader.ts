/**
 * Compares paths of a folder with the manifest and brings it up to date. Files are read while others write them: one that
 * vanishes was removed, one that shrinks is as long as what could be read, and the hash is always of the bytes handed on.
 */

import { constants, type Dirent, type Stats } from "node:fs";
import { type FileHandle, lstat, open, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { BLOCK_BYTES } from "./blocks.ts";
import type { ChangeList } from "./capture.ts";
import { diskError, errnoOf, MirrorError } from "./error.ts";
import type { Excludes } from "./exclude.ts";
import { type Entry, type Manifest, removePath, sameEntry, sameOwner, setEntry } from "./manifest.ts";
import { isCovered, isInnerLink, joinPath, leadsToRoot } from "./paths.ts";
import type { Sources } from "./sources.ts";
import { compareFile, type Piece, record } from "./tree-file.ts";

/** Files of one folder read at the same time: reading a small one is waiting most of the time. */
const VISITS_AT_ONCE = 8;
const GONE = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

export type TreeReader = {
  readonly dir: string;
  readonly roots: readonly string[];
  /** Neither looked at nor mirrored. */
  readonly isExcluded: Excludes;
  readonly manifest: Manifest;
  /**
   * Called before a folder is listed: a watch set now misses nothing that the listing does not show. True when this folder has
   * taken the place of another, of which nothing counts any more.
   */
  readonly onFolder: (path: string) => boolean;
  readonly onGone: (path: string) => void;
  /** Called with what was read of a path, for whoever wants to know later whether it changed. */
  readonly onSeen: (path: string, stats: Stats) => void;
  /** Where what a new path holds may be found on a shadow; set while changes are being collected. */
  sources?: Sources | undefined;
  /** A path that cannot be mirrored, and why. */
  readonly onSkip: (error: MirrorError) => void;
};

/** Brings one path up to date; `deep` lists a folder that is known already. "" is the state folder itself. */
export async function visitPath(
  reader: TreeReader,
  path: string,
  { changes, deep }: { changes: ChangeList; deep: boolean },
): Promise<void> {
  const leads = path === "" || leadsToRoot(path, reader.roots);
  if (!leads && !isCovered(path, reader.roots)) return;
  if (path !== "" && reader.isExcluded(path)) return;
  const stats = await statOf(reader, path);
  if (stats === "skip") return;
  if (!stats) return forget(reader, path, changes);
  if (stats.isDirectory()) return visitFolder(reader, path, { changes, stats, deep: deep || leads });
  if (leads) return forget(reader, path, changes);
  if (stats.isFile()) return visitFile(reader, path, changes);
  if (stats.isSymbolicLink()) return visitLink(reader, path, { changes, stats });
  return forget(reader, path, changes);
}

async function statOf(reader: TreeReader, path: string): Promise<Stats | "skip" | undefined> {
  try {
    return await lstat(join(reader.dir, path));
  } catch (error) {
    if (!GONE.has(errnoOf(error))) {
      reader.onSkip(diskError(`reading ${path}`, error));
      return "skip";
    }
    // Node replaces what is not UTF-8, and there is nothing under the name it makes of it.
    if (path.includes("\ufffd"))
      reader.onSkip(new MirrorError("io", `${path}: name is not UTF-8, not mirrored`));
    return undefined;
  }
}

async function visitFolder(
  reader: TreeReader,
  path: string,
  { changes, stats, deep }: { changes: ChangeList; stats: Stats; deep: boolean },
): Promise<void> {
  if (reader.onFolder(path)) forget(reader, path, changes);
  const known = reader.manifest.entries.get(path)?.entry.kind === "folder";
  if (path !== "" && isCovered(path, reader.roots)) {
    note(reader, path, { changes, entry: plainEntry("folder", stats) });
  }
  // Again: what was forgotten is watched no longer.
  reader.onFolder(path);
  reader.onSeen(path, stats);
  if (known && !deep) return;
  const { folders, others } = await childrenOf(reader, path);
  // What is kept of each is bounded by what is kept of all, so they are read together only where nothing is.
  const atOnce = changes.room === 0 ? VISITS_AT_ONCE : 1;
  for (let at = 0; at < others.length; at += atOnce) {
    const some = others.slice(at, at + atOnce);
    await Promise.all(some.map((child) => visitPath(reader, child, { changes, deep })));
  }
  for (const child of folders) await visitPath(reader, child, { changes, deep });
}

/** By what the listing says they are; what they are when they are visited is what counts. */
async function childrenOf(
  reader: TreeReader,
  path: string,
): Promise<{ folders: string[]; others: string[] }> {
  const [folders, others]: string[][] = [[], []];
  for (const each of await listFolder(reader, path)) {
    (each.isDirectory() ? folders! : others!).push(joinPath(path, each.name));
  }
  return { folders: folders!.sort(), others: others!.sort() };
}

async function listFolder(reader: TreeReader, path: string): Promise<Dirent[]> {
  try {
    return await readdir(join(reader.dir, path), { withFileTypes: true });
  } catch (error) {
    if (!GONE.has(errnoOf(error))) reader.onSkip(diskError(`listing ${path}`, error));
    return [];
  }
}

async function visitLink(
  reader: TreeReader,
  path: string,
  { changes, stats }: { changes: ChangeList; stats: Stats },
): Promise<void> {
  const target = await readlink(join(reader.dir, path)).catch(() => "");
  if (!isInnerLink(path, target)) {
    reader.onSkip(
      new MirrorError("escape", `link ${path} leads out of the state to "${target}": not mirrored`),
    );
    return forget(reader, path, changes);
  }
  note(reader, path, { changes, entry: { ...plainEntry("link", stats), mode: 0, target } });
  reader.onSeen(path, stats);
}

async function visitFile(reader: TreeReader, path: string, changes: ChangeList): Promise<void> {
  let file: FileHandle;
  try {
    file = await open(
      join(reader.dir, path),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
  } catch (error) {
    if (GONE.has(errnoOf(error))) return forget(reader, path, changes);
    return reader.onSkip(diskError(`reading ${path}`, error));
  }
  try {
    const stats = await file.stat();
    if (!stats.isFile()) return forget(reader, path, changes);
    const entryOf = (size: number): Entry => ({ ...plainEntry("file", stats), size, blockSize: BLOCK_BYTES });
    // Where nothing is kept for the wire, the hashes of a long file are recorded as they come, not held twice.
    const isFirst = changes.room === 0 && !reader.manifest.entries.has(path);
    if (isFirst) note(reader, path, { changes, entry: entryOf(stats.size) });
    const onPiece = (piece: Piece, size: number) => {
      if (size > sizeOf(reader.manifest, path)) setEntry(reader.manifest, path, { entry: entryOf(size) });
      record(reader.manifest, path, { pieces: [piece], changes });
    };
    const found = await compareFile(file, { path, stats, reader, changes, ...(isFirst && { onPiece }) });
    note(reader, path, { changes, entry: entryOf(found.size), always: found.pieces.length > 0 });
    if (found.literalBytes > changes.room) changes.overflow();
    record(reader.manifest, path, { pieces: found.pieces, changes });
    reader.onSeen(path, stats);
  } catch (error) {
    reader.onSkip(diskError(`reading ${path}`, error));
  } finally {
    await file.close();
  }
}

function sizeOf(manifest: Manifest, path: string): number {
  return manifest.entries.get(path)?.entry.size ?? 0;
}

function plainEntry(kind: "file" | "folder" | "link", stats: Stats): Entry {
  const { mtimeMs, uid, gid } = stats;
  return { kind, mode: stats.mode & 0o7777, mtimeMs, size: 0, blockSize: 0, target: "", uid, gid };
}

function note(
  reader: TreeReader,
  path: string,
  { changes, entry, always = false }: { changes: ChangeList; entry: Entry; always?: boolean },
): void {
  const held = reader.manifest.entries.get(path);
  if (held && held.entry.kind !== entry.kind) forget(reader, path, changes);
  const same = held !== undefined && sameEntry(held.entry, entry) && sameOwner(held.entry, entry);
  setEntry(reader.manifest, path, { entry });
  if (!same || always) changes.add({ op: "entry", path, entry });
}

/** Removes a path and all below it, from the leaves up. */
export function forget(reader: TreeReader, path: string, changes: ChangeList): void {
  const entries = reader.manifest.entries;
  const held = entries.get(path);
  reader.onGone(path);
  if (held && held.entry.kind !== "folder") {
    drop(reader.manifest, path, changes);
    return;
  }
  // What is not in the manifest has nothing below it there, unless it is a folder above the roots.
  if (!held && path !== "" && !leadsToRoot(path, reader.roots)) return;
  const below = [...entries.keys()].filter((other) => other === path || other.startsWith(`${path}/`));
  for (const gone of below.sort().reverse()) drop(reader.manifest, gone, changes);
}

function drop(manifest: Manifest, path: string, changes: ChangeList): void {
  removePath(manifest, path);
  changes.add({ op: "remove", path });
}
