/** Content is compared and moved in blocks: 4 KiB of a file, or one page of a database. */

import { hash } from "node:crypto";

export const BLOCK_BYTES = 4096;
/** Half of a SHA-256: 2^64 blocks before two different ones are likely to share a hash. */
export const HASH_BYTES = 16;

export function blockHash(block: Uint8Array): Uint8Array {
  return hash("sha256", block, "buffer").subarray(0, HASH_BYTES);
}

export function blockCount(size: number, blockSize: number): number {
  return Math.ceil(size / blockSize);
}

/** All blocks are whole but the last one of a file. */
export function blockLength(index: number, size: number, blockSize: number): number {
  return Math.max(0, Math.min(blockSize, size - index * blockSize));
}

export type Run = { readonly first: number; readonly count: number };

/** Neighbouring indexes together, so that each run is one read or one write. Expects them ascending. */
export function* runsOf(indexes: Iterable<number>): Generator<Run> {
  let first = -1;
  let count = 0;
  for (const index of indexes) {
    if (count > 0 && index === first + count) {
      count += 1;
      continue;
    }
    if (count > 0) yield { first, count };
    first = index;
    count = 1;
  }
  if (count > 0) yield { first, count };
}
