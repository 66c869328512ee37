/**
 * A CRC-32 that moves along a file byte by byte (rolling hash: Tridgell & Mackerras, "The rsync algorithm", 1996; a CRC is
 * linear, so a byte that leaves the window is taken out by one table). The plain CRC of a block, which zlib computes at
 * memory speed, is then the same number that is found again at any other place.
 */

import { crc32 } from "node:zlib";
import { BLOCK_BYTES, HASH_BYTES, STRONG_BYTES } from "./blocks.ts";

const POLYNOMIAL = 0xed_b8_83_20;
/** Bits of the filter for each block: one position in sixteen is looked up in vain. */
const FILTER_BITS_PER_BLOCK = 16;
const FILTER_BITS_MAX = 2 ** 26;

const ENTERING = Int32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
  return value;
});
const LEAVING = Int32Array.from(ENTERING, (first) => {
  let value = first;
  for (let step = 0; step < BLOCK_BYTES; step += 1) value = (value >>> 8) ^ ENTERING[value & 255]!;
  return value;
});
/** zlib starts and ends with all bits inverted, which is a constant for blocks of one length. */
const INVERTED = crc32(new Uint8Array(BLOCK_BYTES)) | 0;

/** Blocks of one file by their CRC: which of them may be what begins at some byte of another version of it. */
export interface BlockIndex {
  /** The first place from `from` to `to` at which a window of a block may hold one of the blocks, or `to`. */
  find(bytes: Uint8Array, range: { from: number; to: number }): number;
  /** The block with this hash; undefined when there is none. */
  blockOf(hash: Uint8Array): number | undefined;
}

/** Of the first `count` hashes, all of whole blocks. Of blocks that are the same, one is enough. */
export function blockIndex(hashes: Buffer, count: number): BlockIndex {
  const filterBits = Math.min(FILTER_BITS_MAX, powerOfTwo(count * FILTER_BITS_PER_BLOCK));
  const filter = new Uint8Array(filterBits / 8);
  const room = powerOfTwo(count * 2);
  const table = new Int32Array(room).fill(-1);

  const crcAt = (index: number): number => hashes.readInt32LE(index * HASH_BYTES + STRONG_BYTES);
  const isAt = (index: number, hash: Uint8Array): boolean =>
    hashes.compare(hash, 0, HASH_BYTES, index * HASH_BYTES, (index + 1) * HASH_BYTES) === 0;

  function slotOf(hash: Uint8Array, crc: number): number {
    let slot = spread(crc) & (room - 1);
    while (table[slot] !== -1 && !isAt(table[slot]!, hash)) slot = (slot + 1) & (room - 1);
    return slot;
  }

  function hasCrc(crc: number): boolean {
    let slot = spread(crc) & (room - 1);
    while (table[slot] !== -1 && crcAt(table[slot]!) !== crc) slot = (slot + 1) & (room - 1);
    return table[slot] !== -1;
  }

  for (let index = 0; index < count; index += 1) {
    const crc = crcAt(index);
    const slot = slotOf(hashes.subarray(index * HASH_BYTES, (index + 1) * HASH_BYTES), crc);
    // The first of several that are the same: what follows it is the longest.
    if (table[slot] === -1) table[slot] = index;
    const bit = (crc ^ INVERTED) & (filterBits - 1);
    filter[bit >>> 3] = filter[bit >>> 3]! | (1 << (bit & 7));
  }

  return {
    find(bytes, { from, to }) {
      let crc = (crc32(bytes.subarray(from, from + BLOCK_BYTES)) | 0) ^ INVERTED;
      for (let at = from; at < to; at += 1) {
        const bit = crc & (filterBits - 1);
        if (filter[bit >>> 3]! & (1 << (bit & 7)) && hasCrc(crc ^ INVERTED)) return at;
        const entering = bytes[at + BLOCK_BYTES]!;
        crc = (crc >>> 8) ^ ENTERING[(crc ^ entering) & 255]! ^ LEAVING[bytes[at]!]!;
      }
      return to;
    },
    blockOf(hash) {
      const crc = Buffer.from(hash.buffer, hash.byteOffset, HASH_BYTES).readInt32LE(STRONG_BYTES);
      const index = table[slotOf(hash, crc)]!;
      return index === -1 ? undefined : index;
    },
  };
}

function powerOfTwo(atLeast: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(16, atLeast)));
}

function spread(crc: number): number {
  const mixed = Math.imul(crc ^ (crc >>> 16), 0x85_eb_ca_6b);
  return mixed ^ (mixed >>> 13);
}
