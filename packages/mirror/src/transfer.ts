/**
 * Sends one difference between two manifests: what the shadow's base holds elsewhere, and zeros, by reference, and the
 * rest as it is now in the state. What changes meanwhile is left to the next comparison.
 */

import { BLOCK_BYTES, blockLength, hashesOf, indexesOf, likelyHashes, runsOf, ZERO_HASH } from "./blocks.ts";
import type { Capture } from "./capture.ts";
import { type Change, COPY_RUNS_MAX, type CopyRun } from "./change.ts";
import { FRAME_BYTES_AIM } from "./frames.ts";
import {
  blocksOf,
  type Difference,
  type Entry,
  type Held,
  hashAt,
  type Manifest,
  removePath,
  sameEntry,
  setBlocks,
  setEntry,
} from "./manifest.ts";
import { addRun, matchMoved, onlyChanged } from "./matching.ts";
import { holdsAt, type Source, type Sources, sourcesOf } from "./sources.ts";
import { MOVED_BLOCKS_MIN } from "./tree-file.ts";

const READ_ATTEMPTS_MAX = 5;

export type Emit = (change: Change) => Promise<void>;

export type Transfer = {
  readonly capture: Capture;
  /** What the shadow has; follows what is sent. */
  readonly theirs: Manifest;
  readonly emit: Emit;
  readonly read: Capture["read"];
  /** Captures a newer commit that is in the way of reading. */
  readonly again?: () => Promise<unknown>;
  /** As long as `theirs` is what the base of the delta holds, for paths not yet sent. */
  readonly base?: Sources;
};

type Changed = Extract<Difference, { op: "entry" }>;

/** What of the shadow's base may be of use for paths that are new to it. */
export function baseContents(
  mine: Manifest,
  { theirs, differences }: { theirs: Manifest; differences: readonly Difference[] },
): Sources {
  const isNew = (each: Difference) => each.op === "entry" && !theirs.entries.has(each.path);
  if (mine.entries.size === 0 || !differences.some(isNew)) return { beginningWith: () => undefined };
  return sourcesOf(
    theirs,
    differences.map(({ path }) => path),
  );
}

export async function transfer(each: Difference, options: Transfer): Promise<void> {
  const { theirs, emit } = options;
  if (each.op === "remove") {
    removePath(theirs, each.path);
    return emit({ op: "remove", path: each.path });
  }
  const before = options.base && heldNow(theirs, each.path);
  setEntry(theirs, each.path, { entry: each.entry });
  await emit({ op: "entry", path: each.path, entry: each.entry });
  if (before && hasMoved(each, before)) return sendMoved(each, before, options);
  const rest = each.entry.kind === "file" ? await sendCopies(each, options) : each.blocks;
  await sendBlocks(each, rest, options);
}

/** With its hashes as they are, whatever becomes of the manifest. */
function heldNow(manifest: Manifest, path: string): Held | undefined {
  const held = manifest.entries.get(path);
  return held && { entry: held.entry, hashes: Buffer.from(held.hashes) };
}

function hasMoved({ entry, blocks }: Changed, before: Held): boolean {
  if (entry.kind !== "file" || before.entry.kind !== "file") return false;
  const known = blocksOf(before.entry);
  return [...runsOf(blocks)].some(({ first, count }) => Math.min(count, known - first) >= MOVED_BLOCKS_MIN);
}

/** Sends zeros, and what a path that has gone holds, by reference; returns the blocks that are left. */
async function sendCopies(
  { path, blocks }: Changed,
  { capture, theirs, emit, base }: Transfer,
): Promise<number[]> {
  const mine = capture.manifest.entries.get(path);
  const known = mine ? blocksOf(mine.entry) : 0;
  const isNew = blocks.length === known;
  const source = mine && isNew && known > 0 ? base?.beginningWith(hashAt(mine, 0)) : undefined;
  const rest: number[] = [];
  const copies = new Map<string, CopyRun[]>();
  for (const index of blocks) {
    const from = mine && index < known ? heldBy(source, index, hashAt(mine, index)) : undefined;
    if (from === undefined) {
      rest.push(index);
      continue;
    }
    if (!copies.has(from)) copies.set(from, []);
    addRun(copies.get(from)!, { first: index, offset: index * BLOCK_BYTES });
  }
  for (const [from, runs] of copies) {
    const indexes = indexesOf(runs);
    setBlocks(theirs, path, { indexes, hashes: Buffer.concat(indexes.map((index) => hashAt(mine!, index))) });
    await emitCopy({ path, from, runs }, emit);
  }
  return rest;
}

/** Where a block is to be had: "" for zeros. */
function heldBy(source: Source | undefined, index: number, hash: Buffer): string | undefined {
  if (hash.equals(ZERO_HASH)) return "";
  return source && holdsAt(source, index, hash) ? source.path : undefined;
}

async function emitCopy(
  { path, from, runs }: { path: string; from: string; runs: readonly CopyRun[] },
  emit: Emit,
): Promise<void> {
  for (let at = 0; at < runs.length; at += COPY_RUNS_MAX)
    await emit({ op: "copy", path, from, runs: runs.slice(at, at + COPY_RUNS_MAX) });
}

/** Reads the file from its first difference on and looks for what the base holds at another place. */
async function sendMoved({ path, entry, blocks }: Changed, before: Held, options: Transfer): Promise<void> {
  const { theirs, emit } = options;
  const first = blocks[0]!;
  let gone = false;
  const read = async (buffer: Uint8Array, offset: number) => {
    const from = offset / BLOCK_BYTES;
    const count = Math.max(0, Math.min(buffer.length / BLOCK_BYTES, blocksOf(entry) - from));
    const indexes = Array.from({ length: count }, (_, at) => from + at);
    const data = count === 0 ? new Uint8Array(0) : await readAs(entry, path, { ...options, indexes });
    gone ||= !data;
    if (data) buffer.set(data);
    return data?.length ?? 0;
  };
  const old = { hashes: before.hashes, size: before.entry.size };
  for await (const piece of matchMoved({ old, first, read })) {
    if (gone) return;
    const { literal, copied } = onlyChanged(piece, before);
    if (copied.runs.length > 0) {
      setBlocks(theirs, path, { indexes: indexesOf(copied.runs), hashes: copied.hashes });
      await emitCopy({ path, from: path, runs: copied.runs }, emit);
    }
    if (literal.indexes.length === 0) continue;
    setBlocks(theirs, path, literal);
    await emit({ op: "blocks", path, blockSize: BLOCK_BYTES, indexes: literal.indexes, data: literal.data });
  }
}

async function sendBlocks(
  { path, entry }: Changed,
  blocks: readonly number[],
  options: Transfer,
): Promise<void> {
  const { theirs, emit } = options;
  for (const indexes of pieces(blocks, Math.floor(FRAME_BYTES_AIM / (entry.blockSize || BLOCK_BYTES)))) {
    const data = await readAs(entry, path, { ...options, indexes });
    if (!data) return;
    const mine = options.capture.manifest.entries.get(path);
    const hashes =
      mine && blocksOf(mine.entry) > indexes.at(-1)!
        ? likelyHashes(data, entry.blockSize, (at) => hashAt(mine, indexes[at]!))
        : hashesOf(data, entry.blockSize);
    setBlocks(theirs, path, { indexes, hashes });
    await emit({ op: "blocks", path, blockSize: entry.blockSize, indexes, data });
  }
}

/** The blocks, as long as the path is as described. */
async function readAs(
  entry: Entry,
  path: string,
  { capture, indexes, read, again }: Transfer & { indexes: readonly number[] },
): Promise<Uint8Array | undefined> {
  const length = indexes.reduce((sum, index) => sum + blockLength(index, entry.size, entry.blockSize), 0);
  for (let attempt = 1; attempt <= READ_ATTEMPTS_MAX; attempt += 1) {
    const current = capture.manifest.entries.get(path);
    if (!current || !sameEntry(current.entry, entry)) return undefined;
    const data = await read(path, indexes);
    if (data) return data.length === length ? data : undefined;
    if (!again) return undefined;
    await again();
  }
  return undefined;
}

function* pieces(indexes: readonly number[], length: number): Generator<readonly number[]> {
  for (let at = 0; at < indexes.length; at += length) yield indexes.slice(at, at + length);
}
