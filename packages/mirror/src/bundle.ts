/**
 * Captures a bundle: named contents, each known by its hash, as the code and configuration of a function are. Who deploys a
 * new bundle replaces all of it at once, so one bundle is one version and a shadow never sees the code of one with the
 * configuration of another. Only contents whose hash is new are read, and they are checked against it.
 */

import { hash } from "node:crypto";
import type { Stats } from "node:fs";
import { BLOCK_BYTES, blockLength } from "./blocks.ts";
import { type Capture, type ChangeList, changeList } from "./capture.ts";
import { diskError, MirrorError } from "./error.ts";
import { blocksOf, type Entry, emptyManifest, removePath, sameEntry, setEntry } from "./manifest.ts";
import { isCovered, isPlainPath, parentOf } from "./paths.ts";
import { compareFile, record } from "./tree-file.ts";

export const PART_BYTES_MAX = 512 * 1024 * 1024;
export const PARTS_MAX = 10_000;

export type BundlePart = {
  /** A plain path: "code.zip", "config/limits.json". */
  readonly name: string;
  /** Hex. */
  readonly sha256: string;
  readonly size: number;
  /** Permission bits; 0o644 by default. */
  readonly mode?: number;
};

/** `version` is a hash of all its parts: equal versions are equal bundles. */
export type Bundle = { readonly version: string; readonly parts: readonly BundlePart[] };

export interface BundleSource {
  /** The newest bundle that is deployed; cheap. */
  current(): Bundle;
  /** Contents of a part of it; undefined when they are not to be had any more. */
  read(part: BundlePart): Promise<Uint8Array | undefined>;
}

const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;

export function bundleOf(parts: readonly BundlePart[]): Bundle {
  const sorted = [...parts].sort((a, b) => (a.name < b.name ? -1 : 1));
  const text = sorted.map(({ name, sha256, size, mode = FILE_MODE }) => [name, sha256, size, mode]);
  return { version: hash("sha256", JSON.stringify(text)), parts: sorted };
}

export function partOf(name: string, contents: Uint8Array, mode = FILE_MODE): BundlePart {
  return { name, sha256: hash("sha256", contents), size: contents.length, mode };
}

/** Resolves with all of the bundle read once. */
export async function captureBundle({
  source,
  roots,
}: {
  source: BundleSource;
  roots: readonly string[];
}): Promise<Capture> {
  const manifest = emptyManifest();
  let taken: Bundle | undefined;
  /** The manifest may hold something that is in no delta. */
  let isUntold = false;
  let last: { readonly sha256: string; readonly contents: Uint8Array } | undefined;

  async function contentsOf(part: BundlePart): Promise<Uint8Array | undefined> {
    if (last?.sha256 === part.sha256) return last.contents;
    const contents = await source.read(part);
    if (!contents) return undefined;
    if (contents.length !== part.size || hash("sha256", contents) !== part.sha256)
      throw new MirrorError("mismatch", `${part.name} of the bundle is not what its hash says`);
    last = { sha256: part.sha256, contents };
    return contents;
  }

  async function look(
    bundle: Bundle,
    { changes, known }: { changes: ChangeList; known: ReadonlyMap<string, string> },
  ): Promise<void> {
    checkBundle(bundle, roots);
    const wanted = new Map(bundle.parts.map((part) => [part.name, part]));
    const folders = foldersOf(bundle.parts);
    for (const path of [...manifest.entries.keys()].sort().reverse()) {
      const kind = manifest.entries.get(path)!.entry.kind;
      if (kind === "file" ? wanted.has(path) : folders.has(path)) continue;
      removePath(manifest, path);
      changes.add({ op: "remove", path });
    }
    for (const path of folders) note(path, { entry: entryOf("folder", FOLDER_MODE), changes, always: false });
    for (const part of wanted.values()) {
      const entry = { ...entryOf("file", part.mode ?? FILE_MODE), size: part.size, blockSize: BLOCK_BYTES };
      if (known.get(part.name) === part.sha256) note(part.name, { entry, changes, always: false });
      else await lookInto(part, { entry, changes });
    }
  }

  function note(
    path: string,
    { entry, changes, always }: { entry: Entry; changes: ChangeList; always: boolean },
  ): void {
    const held = manifest.entries.get(path)?.entry;
    if (!always && held && sameEntry(held, entry)) return;
    setEntry(manifest, path, { entry });
    changes.add({ op: "entry", path, entry });
  }

  async function lookInto(
    part: BundlePart,
    { entry, changes }: { entry: Entry; changes: ChangeList },
  ): Promise<void> {
    const contents = await contentsOf(part);
    if (!contents)
      throw new MirrorError("io", `${part.name} of bundle ${source.current().version} is not to be had`);
    const stats = { size: contents.length } as Pick<Stats, "size">;
    const found = await compareFile(inMemory(contents), {
      path: part.name,
      stats,
      reader: { manifest },
      changes,
    });
    note(part.name, { entry, changes, always: found.pieces.length > 0 });
    if (found.literalBytes > changes.room) changes.overflow();
    record(manifest, part.name, { pieces: found.pieces, changes });
  }

  async function take(changes: ChangeList): Promise<ChangeList> {
    const bundle = source.current();
    if (bundle.version === taken?.version && !isUntold) return changes;
    // Shadows find by its hash what an earlier look recorded before it failed.
    if (isUntold) changes.overflow();
    const known = new Map(isUntold ? [] : taken?.parts.map(({ name, sha256 }) => [name, sha256]));
    isUntold = true;
    try {
      await look(bundle, { changes, known });
    } catch (error) {
      throw diskError(`bundle ${bundle.version.slice(0, 12)}`, error);
    }
    [taken, isUntold] = [bundle, false];
    return changes;
  }

  await take(changeList(0));
  return {
    manifest,
    pending: () => isUntold || source.current().version !== taken?.version,
    take: () => take(changeList()),
    async read(path, indexes) {
      const entry = manifest.entries.get(path)?.entry;
      const part = taken?.parts.find(({ name }) => name === path);
      if (!part || entry?.kind !== "file" || indexes.some((index) => index >= blocksOf(entry)))
        return undefined;
      const contents = await contentsOf(part);
      return contents && Buffer.concat(indexes.map((index) => blockIn(contents, index)));
    },
    close: () => undefined,
  };
}

function blockIn(contents: Uint8Array, index: number): Uint8Array {
  const from = index * BLOCK_BYTES;
  return contents.subarray(from, from + blockLength(index, contents.length, BLOCK_BYTES));
}

function inMemory(contents: Uint8Array) {
  return {
    async read(buffer: Uint8Array, offset: number, length: number, position: number) {
      const piece = contents.subarray(position, position + length);
      buffer.set(piece, offset);
      return { bytesRead: piece.length };
    },
  };
}

/** As reproducible builds have it: no time, and no owner but who runs the shadow would have. */
function entryOf(kind: "file" | "folder", mode: number): Entry {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  return { kind, mode, mtimeMs: 0, size: 0, blockSize: 0, target: "", uid, gid };
}

/** From the top down. */
function foldersOf(parts: readonly BundlePart[]): ReadonlySet<string> {
  const all = new Set<string>();
  for (const { name } of parts)
    for (let folder = parentOf(name); folder !== ""; folder = parentOf(folder)) all.add(folder);
  return new Set([...all].sort());
}

function checkBundle({ parts }: Bundle, roots: readonly string[]): void {
  if (parts.length > PARTS_MAX) throw new MirrorError("io", `${parts.length} parts, at most ${PARTS_MAX}`);
  const names = new Set(parts.map(({ name }) => name));
  if (names.size < parts.length) throw new MirrorError("io", "two of its parts have one name");
  for (const folder of foldersOf(parts))
    if (names.has(folder)) throw new MirrorError("io", `${folder} is a part and a folder of others`);
  for (const { name, size } of parts) {
    if (!isPlainPath(name) || !isCovered(name, roots))
      throw new MirrorError("escape", `part "${name.slice(0, 200)}" is not in the mirrored state`);
    if (size > PART_BYTES_MAX)
      throw new MirrorError("io", `${name} has ${size} bytes, at most ${PART_BYTES_MAX}`);
  }
}
