/**
 * The shadow's write-ahead log of deltas: what it has acknowledged as durable is here before it is in the state. One file
 * of checksummed entries, written from the start again once everything in it has been applied and synced; a generation
 * number tells the new entries from what is left of the old.
 *
 *   u32 magic | u32 generation | u32 length | u32 crc32 of the rest of the entry | payload
 */

import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { errnoOf } from "./error.ts";
import { FRAME_BYTES_MAX } from "./frames.ts";
import { readWhole, writeWhole } from "./whole-io.ts";

/** Where the payload of an entry lies in the file. */
export type Slot = { readonly offset: number; readonly length: number };

export interface Journal {
  /** Bytes in use. */
  readonly bytes: number;
  /** Appends in order of the calls; on disk only after `sync`. */
  append(payloads: readonly Uint8Array[]): Promise<Slot[]>;
  sync(): Promise<void>;
  read(slot: Slot): Promise<Uint8Array>;
  /** Forgets everything. Only when all of it is applied and on disk, or never to be applied. */
  rewind(): Promise<void>;
  close(): Promise<void>;
}

const EMPTY = new Uint8Array(0);
const MAGIC = 0x4e_52_4a_55;
const HEADER_BYTES = 16;
/**
 * Laid out in advance and kept when the file starts again: syncing what is written over old blocks takes a third of the
 * time of syncing a file that grows. What a large seed adds is cut off.
 */
export const PREPARED_BYTES = 4 * 1024 * 1024;
/** One for all journals: a host that starts many shadows at once must not hold a prepared file of each in memory. */
const ZEROS = new Uint8Array(256 * 1024);

/** Opens or creates a journal and hands over what it holds, in order, up to the first entry that is not whole. */
export async function openJournal(
  file: string,
  onEntry: (payload: Uint8Array, slot: Slot) => void,
): Promise<Journal> {
  const handle = await open(file, "a+").then(async (created) => {
    await created.close();
    return open(file, "r+");
  });
  let { tail, generation } = await replay(handle, onEntry);
  if (tail === 0) await start(1);
  let order: Promise<unknown> = Promise.resolve();

  /** Every life of the file begins with an empty entry: it carries the generation, and hides what is left behind it. */
  async function start(next: number): Promise<void> {
    await writeWhole(handle, encodeHeader(next, EMPTY), 0);
    generation = next;
    tail = HEADER_BYTES;
  }

  async function write(payloads: readonly Uint8Array[]): Promise<Slot[]> {
    const start = tail;
    const slots: Slot[] = [];
    const parts: Uint8Array[] = [];
    let at = start;
    for (const payload of payloads) {
      parts.push(encodeHeader(generation, payload), payload);
      slots.push({ offset: at + HEADER_BYTES, length: payload.length });
      at += HEADER_BYTES + payload.length;
    }
    await writeWhole(handle, Buffer.concat(parts), start);
    tail = at;
    return slots;
  }

  return {
    get bytes() {
      return tail - HEADER_BYTES;
    },
    append(payloads) {
      const written = order.then(() => write(payloads));
      // The caller gets the failure; the next append starts at the same place.
      order = written.catch(() => undefined);
      return written;
    },
    sync: () => handle.datasync(),
    read: (slot) => readSlot(handle, slot),
    async rewind() {
      await order;
      const { size } = await handle.stat();
      await start(generation + 1);
      if (size > PREPARED_BYTES) await handle.truncate(PREPARED_BYTES);
    },
    async close() {
      await order;
      await handle.close();
    },
  };
}

function encodeHeader(generation: number, payload: Uint8Array): Uint8Array {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(generation, 4);
  header.writeUInt32LE(payload.length, 8);
  header.writeUInt32LE(crc32(payload, crc32(header.subarray(4, 12))), 12);
  return header;
}

async function replay(
  handle: FileHandle,
  onEntry: (payload: Uint8Array, slot: Slot) => void,
): Promise<{ tail: number; generation: number }> {
  let tail = 0;
  let generation = 0;
  for (;;) {
    const header = Buffer.from(await readSlot(handle, { offset: tail, length: HEADER_BYTES }));
    if (header.length < HEADER_BYTES || header.readUInt32LE(0) !== MAGIC) break;
    const [entryGeneration, length] = [header.readUInt32LE(4), header.readUInt32LE(8)];
    if (length > FRAME_BYTES_MAX || (tail > 0 && entryGeneration !== generation)) break;
    const slot = { offset: tail + HEADER_BYTES, length };
    const payload = await readSlot(handle, slot);
    if (payload.length < length) break;
    if (crc32(payload, crc32(header.subarray(4, 12))) !== header.readUInt32LE(12)) break;
    generation = entryGeneration;
    tail = slot.offset + length;
    if (length > 0) onEntry(payload, slot);
  }
  if (tail === 0) await prepare(handle);
  return { tail, generation };
}

async function prepare(handle: FileHandle): Promise<void> {
  await handle.truncate(0);
  try {
    for (let at = 0; at < PREPARED_BYTES; at += ZEROS.length) await writeWhole(handle, ZEROS, at);
  } catch (error) {
    // It is only for speed: a small disk keeps its room for the deltas.
    if (errnoOf(error) !== "ENOSPC") throw error;
    await handle.truncate(0);
  }
}

/** As many bytes as there are, up to the length of the slot. */
async function readSlot(handle: FileHandle, { offset, length }: Slot): Promise<Uint8Array> {
  const bytes = Buffer.allocUnsafe(length);
  return bytes.subarray(0, await readWhole(handle, bytes, offset));
}
