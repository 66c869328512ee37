/**
 * What a state consists of: each path with its kind and the hash of each of its blocks. Both ends keep one; equal root
 * hashes mean equal states, and two manifests tell exactly which blocks differ. Changed in place, with an undo log for
 * the shadow, which must be able to forget a delta that never arrived whole.
 */

import { blockCount, HASH_BYTES } from "./blocks.ts";
import { type EntryTable, entryTable } from "./entry-table.ts";
import {
  addTerm,
  emptySum,
  entryTerm,
  GROUP_BLOCKS,
  groupTerm,
  pathKey,
  type RootSum,
  rootText,
  subtractTerm,
} from "./root.ts";

export type EntryKind = "file" | "database" | "folder" | "link";

export type Entry = {
  readonly kind: EntryKind;
  /** Permission bits; 0 for databases and links. */
  readonly mode: number;
  /** Carried along, but a mere touch is no change. */
  readonly mtimeMs: number;
  readonly size: number;
  /** BLOCK_BYTES for files, the page size for databases, 0 for the rest. */
  readonly blockSize: number;
  /** Of a link. */
  readonly target: string;
  /** Owner and group; carried along like the time, since only a privileged shadow can have them so. */
  readonly uid: number;
  readonly gid: number;
};

export type Held = {
  readonly entry: Entry;
  /** HASH_BYTES per block; may have room for more, which is zero. An all-zero hash is a block not known yet. */
  readonly hashes: Buffer;
};

export type Manifest = {
  readonly entries: EntryTable;
  readonly sum: RootSum;
  /** Sum of all sizes. */
  bytes: number;
};

/** Steps that lead back, newest last. */
export type UndoLog = (() => void)[];

const UNKNOWN = Buffer.alloc(HASH_BYTES);
const UNKNOWN_GROUP = Buffer.alloc(GROUP_BLOCKS * HASH_BYTES);

type Step = typeof addTerm;

export function emptyManifest(): Manifest {
  return { entries: entryTable(), sum: emptySum(), bytes: 0 };
}

export function rootOf(manifest: Manifest): string {
  return rootText(manifest.sum);
}

export function blocksOf(entry: Entry): number {
  return entry.blockSize === 0 ? 0 : blockCount(entry.size, entry.blockSize);
}

export function hashAt(held: Held, index: number): Buffer {
  return held.hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
}

/** Equal for a mirror: a touched file is the same file. */
export function sameEntry(a: Entry, b: Entry): boolean {
  return describe(a) === describe(b);
}

export function sameOwner(a: Entry, b: Entry): boolean {
  return a.uid === b.uid && a.gid === b.gid;
}

function describe(entry: Entry): string {
  return `${entry.kind}\0${entry.mode}\0${entry.size}\0${entry.blockSize}\0${entry.target}`;
}

/** Adds or replaces an entry; hashes of blocks that stay are kept while kind and block size do. */
export function setEntry(
  manifest: Manifest,
  path: string,
  { entry, undo }: { entry: Entry; undo?: UndoLog },
): void {
  const before = heldBefore(manifest, path, undo);
  const keeps = before?.entry.kind === entry.kind && before.entry.blockSize === entry.blockSize;
  if (before && !keeps) removePath(manifest, path, undo);
  const after: Held =
    before && keeps
      ? { entry, hashes: fitted(before, blocksOf(entry)) }
      : { entry, hashes: Buffer.alloc(blocksOf(entry) * HASH_BYTES) };
  if (before && keeps) {
    subtractTerm(manifest.sum, entryTerm(path, describe(before.entry)));
    sumResized(manifest, path, { before, after });
    manifest.bytes -= before.entry.size;
  }
  addTerm(manifest.sum, entryTerm(path, describe(entry)));
  manifest.bytes += entry.size;
  manifest.entries.set(path, after);
  undo?.push(() => {
    removePath(manifest, path);
    if (before && keeps) restore(manifest, path, before);
  });
}

/** Room grows by half, so that a database that grows page by page is not copied each time. */
function fitted(before: Held, count: number): Buffer {
  const known = blocksOf(before.entry);
  if (count === known) return before.hashes;
  if (count > known && count * HASH_BYTES <= before.hashes.length) return before.hashes;
  const room = count > known ? Math.ceil(count * 1.5) : count;
  const hashes = Buffer.alloc(room * HASH_BYTES);
  before.hashes.copy(hashes, 0, 0, Math.min(count, known) * HASH_BYTES);
  return hashes;
}

/** What may be put back later must not change with the table. */
function heldBefore(manifest: Manifest, path: string, undo: UndoLog | undefined): Held | undefined {
  const held = manifest.entries.get(path);
  const isShort = held !== undefined && held.hashes.length <= HASH_BYTES;
  return undo && isShort ? { entry: held.entry, hashes: Buffer.from(held.hashes) } : held;
}

/** Only the groups that have lost blocks, gained some or gone. */
function sumResized(
  manifest: Manifest,
  path: string,
  { before, after }: { before: Held; after: Held },
): void {
  const [was, is] = [blocksOf(before.entry), blocksOf(after.entry)];
  if (was === is) return;
  const from = Math.floor(Math.min(was, is) / GROUP_BLOCKS);
  sumBlocks(manifest, path, { held: before, from, step: subtractTerm });
  sumBlocks(manifest, path, { held: after, from, step: addTerm });
}

/** All groups from one on. */
function sumBlocks(
  manifest: Manifest,
  path: string,
  { held, from, step }: { held: Held; from: number; step: Step },
): void {
  const groups = Math.ceil(blocksOf(held.entry) / GROUP_BLOCKS);
  if (from >= groups) return;
  const key = pathKey(path);
  for (let group = from; group < groups; group += 1) sumGroup(manifest, held, { key, group, step });
}

/** A group of which nothing is known has no term. */
function sumGroup(
  manifest: Manifest,
  held: Held,
  { key, group, step }: { key: Uint8Array; group: number; step: Step },
): void {
  const first = group * GROUP_BLOCKS;
  const end = Math.min(first + GROUP_BLOCKS, blocksOf(held.entry));
  const hashes = held.hashes.subarray(first * HASH_BYTES, end * HASH_BYTES);
  const isUnknown = hashes[0] === 0 && hashes.compare(UNKNOWN_GROUP, 0, hashes.length) === 0;
  if (!isUnknown) step(manifest.sum, groupTerm(key, group, hashes));
}

/** Sets the hashes of some blocks of an entry that is there; `hashes` holds one per index. */
export function setBlocks(
  manifest: Manifest,
  path: string,
  { indexes, hashes, undo }: { indexes: readonly number[]; hashes: Uint8Array; undo?: UndoLog },
): void {
  const held = manifest.entries.get(path);
  if (!held) throw new RangeError(`blocks of ${path}, which is not there`);
  const before = undo && takeHashes(held, indexes);
  const key = pathKey(path);
  for (let at = 0; at < indexes.length; ) {
    const group = Math.floor(indexes[at]! / GROUP_BLOCKS);
    sumGroup(manifest, held, { key, group, step: subtractTerm });
    for (; at < indexes.length && Math.floor(indexes[at]! / GROUP_BLOCKS) === group; at += 1)
      held.hashes.set(hashes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES), indexes[at]! * HASH_BYTES);
    sumGroup(manifest, held, { key, group, step: addTerm });
  }
  if (before) undo?.push(() => setBlocks(manifest, path, { indexes, hashes: before }));
}

function takeHashes(held: Held, indexes: readonly number[]): Buffer {
  const taken = Buffer.allocUnsafe(indexes.length * HASH_BYTES);
  indexes.forEach((index, at) => {
    held.hashes.copy(taken, at * HASH_BYTES, index * HASH_BYTES, (index + 1) * HASH_BYTES);
  });
  return taken;
}

/** Removes this one path. Whoever removes a folder removes what is in it first. */
export function removePath(manifest: Manifest, path: string, undo?: UndoLog): void {
  const before = heldBefore(manifest, path, undo);
  if (!before) return;
  subtractTerm(manifest.sum, entryTerm(path, describe(before.entry)));
  sumBlocks(manifest, path, { held: before, from: 0, step: subtractTerm });
  manifest.entries.delete(path);
  manifest.bytes -= before.entry.size;
  undo?.push(() => restore(manifest, path, before));
}

function restore(manifest: Manifest, path: string, held: Held): void {
  manifest.entries.set(path, held);
  addTerm(manifest.sum, entryTerm(path, describe(held.entry)));
  sumBlocks(manifest, path, { held, from: 0, step: addTerm });
  manifest.bytes += held.entry.size;
}

export function rollBack(undo: UndoLog): void {
  for (let step = undo.pop(); step; step = undo.pop()) step();
}

export function copyManifest(manifest: Manifest): Manifest {
  const entries = entryTable();
  for (const [path, held] of manifest.entries)
    entries.set(path, { ...held, hashes: Buffer.from(held.hashes) });
  return { entries, sum: Uint32Array.from(manifest.sum), bytes: manifest.bytes };
}

export type Difference =
  | { readonly op: "remove"; readonly path: string }
  /** The entry differs, or some of its blocks do. */
  | {
      readonly op: "entry";
      readonly path: string;
      readonly entry: Entry;
      readonly blocks: readonly number[];
    };

/** What turns `theirs` into `mine`: removals from the leaves up, then entries from the top down. */
export function* difference(mine: Manifest, theirs: Manifest): Generator<Difference> {
  for (const path of [...theirs.entries.keys()].sort().reverse()) {
    const wanted = mine.entries.get(path);
    if (!wanted || wanted.entry.kind !== theirs.entries.get(path)!.entry.kind) yield { op: "remove", path };
  }
  for (const path of [...mine.entries.keys()].sort()) {
    const held = mine.entries.get(path)!;
    const other = theirs.entries.get(path);
    const blocks = differingBlocks(held, other);
    const isSame = other && sameEntry(held.entry, other.entry) && sameOwner(held.entry, other.entry);
    if (blocks.length > 0 || !isSame) {
      yield { op: "entry", path, entry: held.entry, blocks };
    }
  }
}

function differingBlocks(mine: Held, theirs: Held | undefined): number[] {
  const count = blocksOf(mine.entry);
  const comparable =
    theirs?.entry.kind === mine.entry.kind && theirs.entry.blockSize === mine.entry.blockSize;
  const known = theirs && comparable ? Math.min(count, blocksOf(theirs.entry)) : 0;
  if (known === count && theirs && sameHashes(mine, theirs, count)) return [];
  const differing: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const hash = hashAt(mine, index);
    if (hash.equals(UNKNOWN)) continue;
    if (index >= known || !hash.equals(hashAt(theirs!, index))) differing.push(index);
  }
  return differing;
}

/** One comparison for the common case of a long file that did not change. */
function sameHashes(a: Held, b: Held, count: number): boolean {
  const end = count * HASH_BYTES;
  return a.hashes.compare(b.hashes, 0, end, 0, end) === 0;
}
