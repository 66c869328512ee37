/**
 * Content is compared and moved in blocks: 4 KiB of a file, or one page of a database. A block is known by half of its
 * SHA-256, which says whether it is the same, and by its CRC-32, which can be rolled along a file byte by byte and so finds
 * a block again that has moved (matching.ts).
 */

import { hash } from "node:crypto";
import { crc32 } from "node:zlib";

export const BLOCK_BYTES = 4096;
/** Half of a SHA-256: 2^64 blocks before two different ones are likely to share a hash. */
export const STRONG_BYTES = 16;
export const HASH_BYTES = STRONG_BYTES + 4;

const ZEROS = Buffer.alloc(BLOCK_BYTES);
export const ZERO_HASH: Uint8Array = computeHash(ZEROS);
/** Stands where a hash is not known. */
const NOTHING_KNOWN = Buffer.alloc(HASH_BYTES);

export function blockHash(block: Uint8Array): Uint8Array {
  return isZeroBlock(block) ? ZERO_HASH : computeHash(block);
}

/** A whole block of zeros: most often a hole, which costs neither a hash nor a byte on the wire. */
export function isZeroBlock(block: Uint8Array): boolean {
  return block.length === BLOCK_BYTES && block[0] === 0 && ZEROS.equals(block);
}

function computeHash(block: Uint8Array): Uint8Array {
  const result = Buffer.allocUnsafe(HASH_BYTES);
  writeHash(result, 0, block);
  return result;
}

function writeHash(to: Buffer, at: number, block: Uint8Array): void {
  // As text: a buffer for each digest costs a third of what hashing the block does.
  to.write(hash("sha256", block, "binary"), at, STRONG_BYTES, "binary");
  to.writeUInt32LE(crc32(block), at + STRONG_BYTES);
}

/** Of blocks laid end to end, the last of which may be short. */
export function hashesOf(data: Uint8Array, blockSize: number): Buffer {
  const hashes = Buffer.allocUnsafe(blockCount(data.length, blockSize) * HASH_BYTES);
  for (let at = 0, to = 0; at < data.length; at += blockSize, to += HASH_BYTES) {
    const block = data.subarray(at, at + blockSize);
    if (isZeroBlock(block)) hashes.set(ZERO_HASH, to);
    else writeHash(hashes, to, block);
  }
  return hashes;
}

/**
 * The same, trusting `known` for every block whose CRC-32 it has: a quarter of the time. A block that changed meanwhile keeps its
 * CRC once in 2^32; so this is only for contents that whoever receives them hashes again.
 */
export function likelyHashes(data: Uint8Array, blockSize: number, known: (at: number) => Buffer): Buffer {
  const hashes = Buffer.allocUnsafe(blockCount(data.length, blockSize) * HASH_BYTES);
  for (let at = 0, index = 0; at < data.length; at += blockSize, index += 1) {
    const block = data.subarray(at, at + blockSize);
    const likely = known(index);
    const agrees = likely.readUInt32LE(STRONG_BYTES) === crc32(block) && !NOTHING_KNOWN.equals(likely);
    if (agrees) hashes.set(likely, index * HASH_BYTES);
    else hashes.set(blockHash(block), index * HASH_BYTES);
  }
  return hashes;
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

export function indexesOf(runs: readonly Run[]): number[] {
  return runs.flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at));
}
