/**
 * Compares paths of a folder with the manifest and brings it up to date. Files are read while others write them: one that
 * vanishes was removed, one that shrinks is as long as what could be read, and the hash is always of the bytes handed on.
 */

import { constants, type Stats } from "node:fs";
import { type FileHandle, lstat, open, readdir, readlink } from "node:fs/promises";
import { join } from "node:path";
import { BLOCK_BYTES, blockCount, blockHash } from "./blocks.ts";
import type { ChangeList } from "./capture.ts";
import { diskError, errnoOf, MirrorError } from "./error.ts";
import { FRAME_BYTES_AIM } from "./frames.ts";
import { type Entry, hashAt, type Manifest, removePath, sameEntry, setBlocks, setEntry } from "./manifest.ts";
import { isCovered, isInnerLink, joinPath, leadsToRoot } from "./paths.ts";
import { readWhole } from "./whole-io.ts";

/** A read is a frame at most. */
const READ_BYTES = FRAME_BYTES_AIM;
const GONE = new Set(["ENOENT", "ENOTDIR", "ELOOP"]);

export type TreeReader = {
  readonly dir: string;
  readonly roots: readonly string[];
  readonly manifest: Manifest;
  /** Called before a folder is listed: a watch set now misses nothing that the listing does not show. */
  readonly onFolder: (path: string) => void;
  readonly onGone: (path: string) => void;
  /** Called with what was read of a path, for whoever wants to know later whether it changed. */
  readonly onSeen: (path: string, stats: Stats) => void;
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
    if (GONE.has(errnoOf(error))) return undefined;
    reader.onSkip(diskError(`reading ${path}`, error));
    return "skip";
  }
}

async function visitFolder(
  reader: TreeReader,
  path: string,
  { changes, stats, deep }: { changes: ChangeList; stats: Stats; deep: boolean },
): Promise<void> {
  const known = reader.manifest.entries.get(path)?.entry.kind === "folder";
  if (path !== "" && isCovered(path, reader.roots)) {
    note(reader, path, { changes, entry: plainEntry("folder", stats) });
  }
  reader.onFolder(path);
  reader.onSeen(path, stats);
  if (known && !deep) return;
  for (const name of await namesIn(reader, path)) {
    await visitPath(reader, joinPath(path, name), { changes, deep });
  }
}

async function namesIn(reader: TreeReader, path: string): Promise<string[]> {
  try {
    const names = (await readdir(join(reader.dir, path))).sort();
    for (const name of names.filter((each) => each.includes("\ufffd"))) {
      reader.onSkip(new MirrorError("io", `${joinPath(path, name)}: name is not UTF-8, not mirrored`));
    }
    return names;
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
    await compareFile(reader, path, { changes, file, stats });
    reader.onSeen(path, stats);
  } finally {
    await file.close();
  }
}

/** The entry must come before its blocks, and its true length is known last: so the blocks wait. */
async function compareFile(
  reader: TreeReader,
  path: string,
  { changes, file, stats }: { changes: ChangeList; file: FileHandle; stats: Stats },
): Promise<void> {
  const found: Differing[] = [];
  let [size, bytes] = [0, 0];
  const buffer = Buffer.allocUnsafe(READ_BYTES);
  for (;;) {
    const length = await readWhole(file, buffer, size);
    const piece = differingIn(reader.manifest, path, {
      buffer: buffer.subarray(0, length),
      at: size,
      keep: bytes <= changes.room,
    });
    if (piece.indexes.length > 0) found.push(piece);
    bytes += piece.indexes.length * BLOCK_BYTES;
    size += length;
    if (length < READ_BYTES) break;
  }
  const entry: Entry = { ...plainEntry("file", stats), size, blockSize: BLOCK_BYTES };
  note(reader, path, { changes, entry, always: found.length > 0 });
  if (bytes > changes.room) changes.overflow();
  for (const { indexes, hashes, data } of found) {
    setBlocks(reader.manifest, path, { indexes, hashes });
    changes.add({ op: "blocks", path, blockSize: BLOCK_BYTES, indexes, data });
  }
}

type Differing = { readonly indexes: number[]; readonly hashes: Uint8Array; readonly data: Uint8Array };

/** The blocks of one read that are not as the manifest has them; without their data when nobody will keep it. */
function differingIn(
  manifest: Manifest,
  path: string,
  { buffer, at, keep }: { buffer: Buffer; at: number; keep: boolean },
): Differing {
  const held = manifest.entries.get(path);
  const known = held?.entry.kind === "file" ? blockCount(held.entry.size, BLOCK_BYTES) : 0;
  const indexes: number[] = [];
  const hashes: Uint8Array[] = [];
  const blocks: Uint8Array[] = [];
  for (let offset = 0; offset < buffer.length; offset += BLOCK_BYTES) {
    const block = buffer.subarray(offset, offset + BLOCK_BYTES);
    const index = (at + offset) / BLOCK_BYTES;
    const hash = blockHash(block);
    if (held && index < known && hashAt(held, index).equals(hash)) continue;
    indexes.push(index);
    hashes.push(hash);
    if (keep) blocks.push(block);
  }
  return { indexes, hashes: Buffer.concat(hashes), data: Buffer.concat(blocks) };
}

function plainEntry(kind: "file" | "folder" | "link", stats: Stats): Entry {
  return { kind, mode: stats.mode & 0o7777, mtimeMs: stats.mtimeMs, size: 0, blockSize: 0, target: "" };
}

function note(
  reader: TreeReader,
  path: string,
  { changes, entry, always = false }: { changes: ChangeList; entry: Entry; always?: boolean },
): void {
  const held = reader.manifest.entries.get(path);
  if (held && held.entry.kind !== entry.kind) forget(reader, path, changes);
  const same = held !== undefined && sameEntry(held.entry, entry);
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
