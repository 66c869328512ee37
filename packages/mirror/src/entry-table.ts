/**
 * The entries of a manifest by path, in rows of a few flat buffers instead of objects: a state of a million small files has
 * to fit into memory beside everything else a host does. An entry of one block has its hash in its row; only longer ones
 * have a buffer of their own.
 */

import { HASH_BYTES } from "./blocks.ts";
import type { Entry, EntryKind, Held } from "./manifest.ts";

export interface EntryTable {
  readonly size: number;
  has(path: string): boolean;
  /** Writing to `hashes` of what is returned writes to the table, until the path is set again or deleted. */
  get(path: string): Held | undefined;
  set(path: string, held: Held): void;
  delete(path: string): void;
  keys(): IterableIterator<string>;
  [Symbol.iterator](): IterableIterator<[string, Held]>;
  /** A number of the keeper's own for a path that is there: 0 until it is set, and again when the path was deleted. */
  mark(path: string): number;
  setMark(path: string, mark: number): void;
}

const KINDS: readonly EntryKind[] = ["file", "database", "folder", "link"];
const ROWS_PER_CHUNK = 1024;
const KIND = 0;
const MODE = 2;
const BLOCK_SIZE = 4;
const MTIME = 8;
const SIZE = 16;
const MARK = 24;
const UID = 32;
const GID = 36;
const HASH = 40;
const ROW_BYTES = HASH + HASH_BYTES;

export function entryTable(): EntryTable {
  const slots = new Map<string, number>();
  const chunks: Buffer[] = [];
  /** Of entries longer than a block, and targets of links: by slot. */
  const long = new Map<number, Buffer>();
  const targets = new Map<number, string>();
  const free: number[] = [];
  let used = 0;

  function row(slot: number): Buffer {
    const from = (slot % ROWS_PER_CHUNK) * ROW_BYTES;
    return chunks[Math.floor(slot / ROWS_PER_CHUNK)]!.subarray(from, from + ROW_BYTES);
  }

  function take(path: string): number {
    const slot = free.pop() ?? used++;
    if (slot === chunks.length * ROWS_PER_CHUNK) chunks.push(Buffer.alloc(ROWS_PER_CHUNK * ROW_BYTES));
    slots.set(path, slot);
    row(slot).fill(0);
    return slot;
  }

  function heldAt(slot: number): Held {
    const bytes = row(slot);
    const entry: Entry = {
      kind: KINDS[bytes[KIND]!]!,
      mode: bytes.readUInt16LE(MODE),
      mtimeMs: bytes.readDoubleLE(MTIME),
      size: bytes.readDoubleLE(SIZE),
      blockSize: bytes.readUInt32LE(BLOCK_SIZE),
      target: targets.get(slot) ?? "",
      uid: bytes.readUInt32LE(UID),
      gid: bytes.readUInt32LE(GID),
    };
    const short = entry.blockSize === 0 || entry.size === 0 ? 0 : HASH_BYTES;
    return { entry, hashes: long.get(slot) ?? bytes.subarray(HASH, HASH + short) };
  }

  return {
    get size() {
      return slots.size;
    },
    has: (path) => slots.has(path),
    get(path) {
      const slot = slots.get(path);
      return slot === undefined ? undefined : heldAt(slot);
    },
    set(path, { entry, hashes }) {
      const slot = slots.get(path) ?? take(path);
      const bytes = row(slot);
      bytes[KIND] = KINDS.indexOf(entry.kind);
      bytes.writeUInt16LE(entry.mode, MODE);
      bytes.writeUInt32LE(entry.blockSize, BLOCK_SIZE);
      bytes.writeDoubleLE(entry.mtimeMs, MTIME);
      bytes.writeDoubleLE(entry.size, SIZE);
      bytes.writeUInt32LE(entry.uid, UID);
      bytes.writeUInt32LE(entry.gid, GID);
      if (entry.target === "") targets.delete(slot);
      else targets.set(slot, entry.target);
      if (entry.size <= entry.blockSize) {
        long.delete(slot);
        bytes.set(hashes.subarray(0, HASH_BYTES), HASH);
      } else long.set(slot, hashes);
    },
    delete(path) {
      const slot = slots.get(path);
      if (slot === undefined) return;
      slots.delete(path);
      long.delete(slot);
      targets.delete(slot);
      free.push(slot);
    },
    keys: () => slots.keys(),
    *[Symbol.iterator]() {
      for (const [path, slot] of slots) yield [path, heldAt(slot)] as [string, Held];
    },
    mark(path) {
      const slot = slots.get(path);
      return slot === undefined ? 0 : row(slot).readDoubleLE(MARK);
    },
    setMark(path, mark) {
      const slot = slots.get(path);
      if (slot !== undefined) row(slot).writeDoubleLE(mark, MARK);
    },
  };
}
