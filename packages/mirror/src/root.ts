/**
 * One hash of a whole state that follows each changed block in constant time: the sum, modulo 2^256, of a SHA-256 per
 * entry and per group of blocks, each bound to its path and place (AdHash: Bellare & Micciancio, "A New Paradigm for
 * Collision-Free Hashing: Incrementality at Reduced Cost", 1997). A hash costs by the call, not by the byte: a term for
 * each block would cost a first copy a quarter of what its contents cost. At 256 bits such a sum can be forged by somebody who
 * chooses many blocks; both ends are authenticated, so it has to find accidents (a lost block, a torn write), not forgeries.
 */

import { hash } from "node:crypto";
import { HASH_BYTES, STRONG_BYTES } from "./blocks.ts";

const LIMBS = 8;
/** Blocks of one entry whose hashes make one term. */
export const GROUP_BLOCKS = 64;

/** Eight 32-bit limbs, the lowest first. */
export type RootSum = Uint32Array;

export function emptySum(): RootSum {
  return new Uint32Array(LIMBS);
}

export function addTerm(sum: RootSum, term: Buffer): void {
  let carry = 0;
  for (let limb = 0; limb < LIMBS; limb += 1) {
    const total = sum[limb]! + term.readUInt32LE(limb * 4) + carry;
    sum[limb] = total;
    carry = total > 0xffff_ffff ? 1 : 0;
  }
}

export function subtractTerm(sum: RootSum, term: Buffer): void {
  let borrow = 0;
  for (let limb = 0; limb < LIMBS; limb += 1) {
    const difference = sum[limb]! - term.readUInt32LE(limb * 4) - borrow;
    sum[limb] = difference;
    borrow = difference < 0 ? 1 : 0;
  }
}

/** 64 hex digits, the highest limb first. */
export function rootText(sum: RootSum): string {
  return [...sum]
    .reverse()
    .map((limb) => limb.toString(16).padStart(8, "0"))
    .join("");
}

/** Stands for a path in the terms of its blocks, so that a long path does not make them dearer. */
export function pathKey(path: string): Buffer {
  return hash("sha256", path, "buffer").subarray(0, STRONG_BYTES);
}

const scratch = Buffer.alloc(STRONG_BYTES + 4 + GROUP_BLOCKS * HASH_BYTES);

/** Of the hashes of one group of blocks, those that the entry has, laid end to end. */
export function groupTerm(key: Uint8Array, group: number, hashes: Uint8Array): Buffer {
  scratch.set(key, 0);
  scratch.writeUInt32LE(group, STRONG_BYTES);
  scratch.set(hashes, STRONG_BYTES + 4);
  return hash("sha256", scratch.subarray(0, STRONG_BYTES + 4 + hashes.length), "buffer");
}

export function entryTerm(path: string, description: string): Buffer {
  // A path holds no NUL, so no other pair reads the same.
  return hash("sha256", `${path}\0${description}`, "buffer");
}
