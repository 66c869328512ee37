/**
 * Brings a shadow that stands anywhere to the primary's present in one delta, by comparing block hashes: a new shadow has
 * none, a primary of an earlier epoch has a few that nobody else has. While the differing blocks are sent, the state goes
 * on changing; so what was sent is compared again, round by round, and only the last small difference is read with the
 * capture held still. The shadow shows nothing of it before the end has arrived.
 */

import type { Epoch, Position } from "@understudy/model/position";
import { BLOCK_BYTES, blockHash, blockLength } from "./blocks.ts";
import type { Capture } from "./capture.ts";
import type { Base, Change } from "./change.ts";
import { MirrorError } from "./error.ts";
import { encodeFrame, FRAME_BYTES_AIM } from "./frames.ts";
import {
  type Difference,
  difference,
  type Entry,
  type Manifest,
  removePath,
  rootOf,
  sameEntry,
  setBlocks,
  setEntry,
} from "./manifest.ts";

const ROUNDS_MAX = 8;
/** A difference this small is read with the capture held still: critical writes wait so long. */
const LAST_BYTES_MAX = 256 * 1024;
const LAST_ATTEMPTS_MAX = 50;
const READ_ATTEMPTS_MAX = 5;

export type CatchUp = {
  readonly capture: Capture;
  readonly epoch: Epoch;
  readonly base: Base;
  /** What the shadow has; becomes what it will have. */
  readonly theirs: Manifest;
  /** Captures now; the turnstile's. */
  readonly seal: () => Promise<Position>;
  /** Runs with the capture held still; `sealNow` captures within it. */
  readonly exclusive: <R>(work: (sealNow: () => Promise<Sealed>) => Promise<R>) => Promise<R>;
  /** Resolves when more may be sent. `payloadBytes` of blocks are in these frames. */
  readonly send: (frames: readonly Uint8Array[], payloadBytes: number) => Promise<void>;
  readonly onTotal: (payloadBytes: number) => void;
};

export type Sealed = {
  readonly position: Position;
  /** What this seal found; empty when they were too many to hold. */
  readonly changes: readonly Change[];
};

type ReadBlocks = Capture["read"];
type Emit = (change: Change) => Promise<void>;

/** Resolves with the position the shadow will stand at; the caller sends `end`'s successors after it. */
export async function catchUp(options: CatchUp): Promise<Position> {
  const { capture, theirs, epoch, base, send, seal, exclusive, onTotal } = options;
  let count = 0;
  const emit: Emit = (change) => {
    count += 1;
    return send([encodeFrame({ type: "change", change })], change.op === "blocks" ? change.data.length : 0);
  };
  await send([encodeFrame({ type: "begin", epoch, base })], 0);
  for (let round = 1; round <= ROUNDS_MAX; round += 1) {
    const differences = [...difference(capture.manifest, theirs)];
    if (round === 1) onTotal(payloadOf(differences));
    if (payloadOf(differences) <= LAST_BYTES_MAX) break;
    for (const each of differences) {
      await transfer(each, { capture, theirs, emit, read: capture.read, again: seal });
    }
  }
  const { position, rest } = await exclusive((sealNow) => lastRound({ capture, theirs, sealNow }));
  for (const change of rest) await emit(change);
  await send([encodeFrame({ type: "end", position, changes: count })], 0);
  return position;
}

/**
 * Reads differences until there are none against a version sealed at the same time. What changes between a seal and the
 * reading is in the next seal, with its contents; so the second or third attempt ends it, however busy the writer.
 */
async function lastRound({
  capture,
  theirs,
  sealNow,
}: {
  capture: Capture;
  theirs: Manifest;
  sealNow: () => Promise<Sealed>;
}): Promise<{ position: Position; rest: Change[] }> {
  const rest: Change[] = [];
  const emit: Emit = async (change) => void rest.push(change);
  const sealed = sealedBlocks(capture);
  for (let attempt = 1; attempt <= LAST_ATTEMPTS_MAX; attempt += 1) {
    const { position, changes } = await sealNow();
    sealed.add(changes);
    for (const each of [...difference(capture.manifest, theirs)]) {
      await transfer(each, { capture, theirs, emit, read: sealed.read });
    }
    if (rootOf(theirs) === position.root) return { position, rest };
  }
  throw new MirrorError("io", "the state changes faster than it can be read; the catch-up begins again");
}

/** Reads blocks from the seals just made, and from the state only what they do not hold. */
function sealedBlocks(capture: Capture): {
  add(changes: readonly Change[]): void;
  readonly read: ReadBlocks;
} {
  const held = new Map<string, Map<number, Uint8Array>>();
  return {
    add(changes) {
      for (const change of changes) {
        if (change.op === "remove") held.delete(change.path);
        if (change.op !== "blocks") continue;
        const blocks = held.get(change.path) ?? new Map<number, Uint8Array>();
        held.set(change.path, blocks);
        change.indexes.forEach((index, at) => {
          blocks.set(index, change.data.subarray(at * change.blockSize, (at + 1) * change.blockSize));
        });
      }
    },
    async read(path, indexes) {
      const blocks = held.get(path);
      const entry = capture.manifest.entries.get(path)?.entry;
      if (!blocks || !entry) return capture.read(path, indexes);
      const missing = indexes.filter((index) => !blocks.has(index));
      const live = missing.length > 0 ? await capture.read(path, missing) : new Uint8Array(0);
      if (!live) return undefined;
      let at = 0;
      return Buffer.concat(
        indexes.map((index) => {
          const block = blocks.get(index);
          if (block) return block;
          const length = blockLength(index, entry.size, entry.blockSize);
          at += length;
          return live.subarray(at - length, at);
        }),
      );
    },
  };
}

type Transfer = {
  readonly capture: Capture;
  readonly theirs: Manifest;
  readonly emit: Emit;
  readonly read: ReadBlocks;
  /** Captures a newer commit that is in the way of reading. */
  readonly again?: () => Promise<unknown>;
};

/** Sends one difference; what changes meanwhile is left to the next round. */
async function transfer(each: Difference, options: Transfer): Promise<void> {
  const { theirs, emit } = options;
  if (each.op === "remove") {
    removePath(theirs, each.path);
    return emit({ op: "remove", path: each.path });
  }
  const { path, entry } = each;
  setEntry(theirs, path, { entry });
  await emit({ op: "entry", path, entry });
  for (const indexes of pieces(each.blocks, Math.floor(FRAME_BYTES_AIM / (entry.blockSize || BLOCK_BYTES)))) {
    const data = await readAs(entry, path, { indexes, ...options });
    if (!data) return;
    setBlocks(theirs, path, { indexes, hashes: hashesOf(data, entry.blockSize) });
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

function hashesOf(data: Uint8Array, blockSize: number): Uint8Array {
  const hashes: Uint8Array[] = [];
  for (let at = 0; at < data.length; at += blockSize)
    hashes.push(blockHash(data.subarray(at, at + blockSize)));
  return Buffer.concat(hashes);
}

function payloadOf(differences: readonly Difference[]): number {
  return differences.reduce((sum, each) => {
    return each.op === "entry" ? sum + each.blocks.length * each.entry.blockSize : sum;
  }, 0);
}

function* pieces(indexes: readonly number[], length: number): Generator<readonly number[]> {
  for (let at = 0; at < indexes.length; at += length) yield indexes.slice(at, at + length);
}
