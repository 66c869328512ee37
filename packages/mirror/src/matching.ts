/**
 * Finds again what has moved within a file: an insertion shifts all that follows, and no block of the new version equals
 * the one at its place before. The hashes of the version before, which the manifest holds, are looked for at every byte of
 * the new one; what is found is copied on the shadow, and only what is new is sent. Nothing needs the old contents.
 */

import { BLOCK_BYTES, blockCount, blockHash, HASH_BYTES } from "./blocks.ts";
import type { CopyRun } from "./change.ts";
import { FRAME_BYTES_AIM } from "./frames.ts";
import { blocksOf, type Held, hashAt } from "./manifest.ts";
import { blockIndex } from "./rolling.ts";

/** A piece of a file, block by block, with where its contents are to be had. */
export type MatchedPiece = {
  /** Blocks to be sent. */
  readonly literal: { readonly indexes: number[]; readonly hashes: Uint8Array; readonly data: Uint8Array };
  /** Blocks the old version holds, at other places. */
  readonly copied: { readonly runs: CopyRun[]; readonly hashes: Uint8Array };
};

export type MatchOptions = {
  readonly old: { readonly hashes: Buffer; readonly size: number };
  /** The first block that has to be looked at. */
  readonly first: number;
  /** Fills a buffer from a byte on; fewer bytes are the end of the file. */
  readonly read: (buffer: Uint8Array, offset: number) => Promise<number>;
};

/** So much without a single match is another file, and the rest of it is taken as it is. */
const SEARCH_BYTES_MAX = 64 * 1024 * 1024;
const WINDOW_BYTES = FRAME_BYTES_AIM;

/** What lies at `from` to `to` of the new version begins at `from + shift` of the old one. */
type Match = { readonly from: number; to: number; readonly shift: number };

export async function* matchMoved({ old, first, read }: MatchOptions): AsyncGenerator<MatchedPiece> {
  const index = blockIndex(old.hashes, Math.floor(old.size / BLOCK_BYTES));
  const buffer = Buffer.allocUnsafe(WINDOW_BYTES + 2 * BLOCK_BYTES);
  /** File offset of the buffer's first byte: always that of a block. */
  let start = first * BLOCK_BYTES;
  let length = 0;
  let at = start;
  let matches: Match[] = [];
  let searched = 0;

  /** Looks for the old version's blocks up to where no whole block is left in the buffer. */
  function search(end: number): void {
    while (at + BLOCK_BYTES <= end) {
      const last = matches.at(-1);
      if (last?.to === at && extend(last)) continue;
      if (searched > SEARCH_BYTES_MAX) {
        at += BLOCK_BYTES;
        continue;
      }
      const stop = end - BLOCK_BYTES + 1;
      const found = start + index.find(buffer.subarray(0, length), { from: at - start, to: stop - start });
      searched += found - at;
      at = found;
      if (found < stop && !begin()) at += 1;
    }
  }

  /** The usual case: what follows a match is what followed it before. */
  function extend(match: Match): boolean {
    const block = (match.to + match.shift) / BLOCK_BYTES;
    if ((block + 1) * BLOCK_BYTES > old.size) return false;
    const hash = blockHash(blockAt(at));
    if (old.hashes.compare(hash, 0, HASH_BYTES, block * HASH_BYTES, (block + 1) * HASH_BYTES) !== 0)
      return false;
    at += BLOCK_BYTES;
    match.to = at;
    return true;
  }

  function begin(): boolean {
    const block = index.blockOf(blockHash(blockAt(at)));
    if (block === undefined) return false;
    searched = 0;
    const shift = block * BLOCK_BYTES - at;
    const last = matches.at(-1);
    at += BLOCK_BYTES;
    if (last?.shift === shift && last.to === at - BLOCK_BYTES) last.to = at;
    else matches.push({ from: at - BLOCK_BYTES, to: at, shift });
    return true;
  }

  function blockAt(offset: number): Buffer {
    return buffer.subarray(offset - start, offset - start + BLOCK_BYTES);
  }

  for (;;) {
    const wanted = buffer.length - length;
    const got = await read(buffer.subarray(length), start + length);
    length += got;
    const isEnd = got < wanted;
    const end = start + length;
    search(end);
    // Whatever lies wholly before the search is decided; the end of the file decides the rest.
    const blocks = isEnd ? blockCount(length, BLOCK_BYTES) : Math.floor((at - start) / BLOCK_BYTES);
    const part = { buffer: buffer.subarray(0, length), first: start / BLOCK_BYTES, blocks };
    yield decide(part, { matches, old: old.hashes });
    if (isEnd) return;
    buffer.copyWithin(0, blocks * BLOCK_BYTES, length);
    start += blocks * BLOCK_BYTES;
    length -= blocks * BLOCK_BYTES;
    matches = matches.filter((match) => match.to > start || match.to === at);
  }
}

function decide(
  { buffer, first, blocks }: { buffer: Buffer; first: number; blocks: number },
  { matches, old }: { matches: readonly Match[]; old: Buffer },
): MatchedPiece {
  const literal = { indexes: [] as number[], hashes: [] as Uint8Array[], data: [] as Uint8Array[] };
  const copied = { runs: [] as CopyRun[], hashes: [] as Uint8Array[] };
  let candidate = 0;
  for (let at = 0; at < blocks; at += 1) {
    const [from, to] = [(first + at) * BLOCK_BYTES, (first + at + 1) * BLOCK_BYTES];
    const block = buffer.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES);
    while (candidate < matches.length && matches[candidate]!.to < to) candidate += 1;
    const match = matches[candidate];
    if (match && match.from <= from && to <= match.to) {
      const offset = from + match.shift;
      addRun(copied.runs, { first: first + at, offset });
      // What has moved by whole blocks has the hash it had.
      const isBlock = offset % BLOCK_BYTES === 0;
      copied.hashes.push(isBlock ? hashOf(old, offset / BLOCK_BYTES) : blockHash(block));
    } else {
      literal.indexes.push(first + at);
      literal.hashes.push(blockHash(block));
      literal.data.push(block);
    }
  }
  return {
    literal: {
      indexes: literal.indexes,
      hashes: Buffer.concat(literal.hashes),
      data: Buffer.concat(literal.data),
    },
    copied: { runs: copied.runs, hashes: Buffer.concat(copied.hashes) },
  };
}

/** Without what is, after all, where and as it was. */
export function onlyChanged({ literal, copied }: MatchedPiece, before: Held): MatchedPiece {
  const known = blocksOf(before.entry);
  const sent = literal.indexes.flatMap((index, at) => {
    const isSame = index < known && hashAt(before, index).equals(hashOf(literal.hashes, at));
    return isSame ? [] : [at];
  });
  let from = 0;
  const parts = copied.runs.map((run) => {
    const hashes = copied.hashes.subarray(from, from + run.count * HASH_BYTES);
    from += hashes.length;
    return { run, hashes };
  });
  const moved = parts.filter(({ run }) => run.offset !== run.first * BLOCK_BYTES);
  return {
    literal: {
      indexes: sent.map((at) => literal.indexes[at]!),
      hashes: Buffer.concat(sent.map((at) => hashOf(literal.hashes, at))),
      data: Buffer.concat(sent.map((at) => literal.data.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES))),
    },
    copied: {
      runs: moved.map(({ run }) => run),
      hashes: Buffer.concat(moved.map(({ hashes }) => hashes)),
    },
  };
}

function hashOf(hashes: Uint8Array, index: number): Uint8Array {
  return hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES);
}

/** Adds one block to the runs, to the last one where it goes on with it. */
export function addRun(runs: CopyRun[], { first, offset }: { first: number; offset: number }): void {
  const last = runs.at(-1);
  if (last && last.first + last.count === first && last.offset + last.count * BLOCK_BYTES === offset) {
    runs[runs.length - 1] = { ...last, count: last.count + 1 };
  } else runs.push({ first, count: 1, offset });
}
