/**
 * Brings a shadow that stands anywhere to the primary's present in one delta, by comparing block hashes: a new shadow has
 * none, a primary of an earlier epoch has a few that nobody else has. While the differing blocks are sent, the state goes
 * on changing; so what was sent is compared again, round by round, and only the last small difference is read with the
 * capture held still. The shadow shows nothing of it before the end has arrived.
 */

import type { Epoch, Position } from "@understudy/model/position";
import { blockLength, indexesOf } from "./blocks.ts";
import type { Capture } from "./capture.ts";
import type { Base, Change } from "./change.ts";
import { MirrorError } from "./error.ts";
import { encodeFrame, encodeParts } from "./frames.ts";
import { type Difference, difference, type Manifest, rootOf } from "./manifest.ts";
import { packContents } from "./packing.ts";
import { baseContents, type Emit, transfer } from "./transfer.ts";

const ROUNDS_MAX = 8;
/** A difference this small is read with the capture held still: critical writes wait so long. */
const LAST_BYTES_MAX = 256 * 1024;
const LAST_ATTEMPTS_MAX = 50;

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

/** Resolves with the position the shadow will stand at; the caller sends `end`'s successors after it. */
export async function catchUp(options: CatchUp): Promise<Position> {
  const { capture, theirs, epoch, base, send, seal, exclusive, onTotal } = options;
  let count = 0;
  const emit: Emit = (change) => {
    count += 1;
    const frames = packContents(encodeParts({ type: "change", change }));
    return send(frames, change.op === "blocks" ? change.data.length : 0);
  };
  await send([encodeFrame({ type: "begin", epoch, base })], 0);
  for (let round = 1; round <= ROUNDS_MAX; round += 1) {
    const differences = [...difference(capture.manifest, theirs)];
    if (round === 1) onTotal(payloadOf(differences));
    if (payloadOf(differences) <= LAST_BYTES_MAX && (round > 1 || theirs.entries.size === 0)) break;
    // What the shadow has is what its base holds only until the first of it is replaced.
    const held = round === 1 ? baseContents(capture.manifest, { theirs, differences }) : undefined;
    for (const each of differences) {
      await transfer(each, {
        capture,
        theirs,
        emit,
        read: capture.read,
        again: seal,
        ...(held && { base: held }),
      });
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
        // What was copied is read from the state.
        if (change.op === "copy")
          for (const index of indexesOf(change.runs)) held.get(change.path)?.delete(index);
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

function payloadOf(differences: readonly Difference[]): number {
  return differences.reduce((sum, each) => {
    return each.op === "entry" ? sum + each.blocks.length * each.entry.blockSize : sum;
  }, 0);
}
