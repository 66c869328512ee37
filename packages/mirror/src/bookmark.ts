/**
 * Where this end stands, on disk: its role, its position and the highest epoch it has seen. Two slots are written in
 * turn, each with a checksum, so that a write torn by a kill leaves the one before. A write without `sync` survives the
 * death of the process; with it, that of the machine.
 */

import { closeSync, constants, fdatasync, openSync, readSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import { type Epoch, POSITION_ZERO, type Position } from "@understudy/model/position";
import { byteReader, byteWriter } from "./bytes.ts";
import { decodePosition, encodePosition, pick } from "./change.ts";
import { MirrorError } from "./error.ts";

export type EndRole = "shadow" | "released" | "primary";

export type Bookmark = {
  /** "shadow" from the opening of a shadow end until it is released: its journal counts only then. */
  readonly role: EndRole;
  readonly position: Position;
  readonly epochSeen: Epoch;
};

export interface BookmarkFile {
  readonly current: Bookmark;
  write(next: Bookmark): void;
  sync(): Promise<void>;
  close(): void;
}

const ROLES: readonly EndRole[] = ["released", "shadow", "primary"];
const SLOT_BYTES = 512;
const syncData = promisify(fdatasync);

export function openBookmark(file: string): BookmarkFile {
  const fd = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
  const found = [readSlot(fd, 0), readSlot(fd, 1)].filter((slot) => slot !== undefined);
  const newest = found.sort((a, b) => b.sequence - a.sequence)[0];
  let sequence = newest?.sequence ?? 0;
  let current: Bookmark = newest?.bookmark ?? { role: "released", position: POSITION_ZERO, epochSeen: 0 };
  return {
    get current() {
      return current;
    },
    write(next) {
      sequence += 1;
      writeSync(fd, encodeSlot(sequence, next), 0, undefined, (sequence % 2) * SLOT_BYTES);
      current = next;
    },
    sync: () => syncData(fd),
    close: () => closeSync(fd),
  };
}

function encodeSlot(sequence: number, { role, position, epochSeen }: Bookmark): Uint8Array {
  const out = byteWriter();
  out.u53(sequence);
  out.u8(ROLES.indexOf(role));
  out.u53(epochSeen);
  encodePosition(out, position);
  const fields = out.finish();
  const slot = byteWriter();
  slot.u32(crc32(fields));
  slot.u16(fields.length);
  slot.raw(fields);
  return slot.finish();
}

function readSlot(fd: number, slot: number): { sequence: number; bookmark: Bookmark } | undefined {
  const bytes = new Uint8Array(SLOT_BYTES);
  const length = readSync(fd, bytes, 0, SLOT_BYTES, slot * SLOT_BYTES);
  try {
    const from = byteReader(bytes.subarray(0, length));
    const checksum = from.u32();
    const fields = from.raw(from.u16());
    if (crc32(fields) !== checksum) return undefined;
    const inner = byteReader(fields);
    const [sequence, role, epochSeen] = [inner.u53(), pick(ROLES, inner.u8(), "role"), inner.u53()];
    return { sequence, bookmark: { role, epochSeen, position: decodePosition(inner) } };
  } catch (error) {
    // Empty or torn: the other slot is the one that counts.
    if (error instanceof MirrorError) return undefined;
    throw error;
  }
}
