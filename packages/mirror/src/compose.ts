/** Puts a small file together in memory: what it was, and over it the blocks that came, in their order. */

import { closeSync, constants, openSync, readSync, writeSync } from "node:fs";
import { BLOCK_BYTES, isZeroBlock, runsOf } from "./blocks.ts";
import type { Contents } from "./change.ts";
import type { Planned } from "./plan.ts";

/** In a group of files that are written together this bounds both memory and how long others wait. */
export const SMALL_BYTES_MAX = 64 * 1024;
/** A file that was written again and again since the last step has as many blocks to be read. */
const SLOTS_BYTES_MAX = 2 * SMALL_BYTES_MAX;

/** Copies go piece by piece: they may share what they copy. */
export function isSmall({ entry, slots, copies }: Planned): boolean {
  const bytes = slots.reduce((sum, { length }) => sum + length, 0);
  return !copies && entry.size <= SMALL_BYTES_MAX && bytes <= SLOTS_BYTES_MAX;
}

export function composeFile({
  size,
  contents,
  base,
}: {
  size: number;
  contents: readonly Contents[];
  /** Where it is as it was; undefined when nothing of it is kept. */
  base: string | undefined;
}): Buffer {
  const whole = Buffer.alloc(size);
  if (base !== undefined && !isCoveredBy(contents, size)) readInto(whole, base);
  for (const each of contents) addContents(whole, each);
  return whole;
}

/** As far as the file goes. A copy is of zeros: others are not composed here. */
function addContents(whole: Buffer, contents: Contents): void {
  if (contents.op === "copy") {
    for (const { first, count } of contents.runs) {
      const end = Math.min((first + count) * BLOCK_BYTES, whole.length);
      whole.fill(0, Math.min(first * BLOCK_BYTES, end), end);
    }
    return;
  }
  const { indexes, blockSize, data } = contents;
  let from = 0;
  for (const { first, count } of runsOf(indexes)) {
    const at = Math.min(first * blockSize, whole.length);
    whole.set(data.subarray(from, from + Math.min(count * blockSize, whole.length - at)), at);
    from += count * blockSize;
  }
}

/** What is zeros is left out: a hole stays one. The file is as long as the last that was written; truncate it. */
export function writeUnlessZeroSync(file: number, data: Uint8Array): void {
  const count = Math.ceil(data.length / BLOCK_BYTES);
  const indexes = Array.from({ length: count }, (_, index) => index);
  const filled = indexes.filter(
    (index) => !isZeroBlock(data.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)),
  );
  for (const { first, count } of runsOf(filled)) {
    const end = Math.min(data.length, (first + count) * BLOCK_BYTES);
    for (let at = first * BLOCK_BYTES; at < end; ) at += writeSync(file, data, at, end - at, at);
  }
}

function isCoveredBy(contents: readonly Contents[], size: number): boolean {
  const bytes = new Map<number, number>();
  for (const each of contents) {
    if (each.op === "copy") continue;
    for (const index of each.indexes)
      if (index * each.blockSize < size) bytes.set(index * each.blockSize, each.blockSize);
  }
  return [...bytes.values()].reduce((sum, each) => sum + each, 0) >= size;
}

function readInto(whole: Uint8Array, base: string): void {
  const file = openSync(base, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (let at = 0; at < whole.length; ) {
      const got = readSync(file, whole, at, whole.length - at, at);
      if (got === 0) return;
      at += got;
    }
  } finally {
    closeSync(file);
  }
}
