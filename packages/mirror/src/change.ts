/**
 * One change of a state and how it is written: on the wire and in the journal alike. An entry says that a path is there
 * and how; blocks are whole new contents; a copy takes contents from where they were before the delta.
 */

import type { Hlc } from "@understudy/model/hlc";
import type { Position, Version } from "@understudy/model/position";
import type { Run } from "./blocks.ts";
import type { ByteReader, ByteWriter } from "./bytes.ts";
import { MirrorError } from "./error.ts";
import type { Entry, EntryKind } from "./manifest.ts";
import { PATH_BYTES_MAX } from "./paths.ts";

/** The state a delta may be applied to, and no other. */
export type Base = { readonly version: Version; readonly root: string };

export type Change =
  /** A path appears or its description changes. Precedes its blocks in the same delta. */
  | { readonly op: "entry"; readonly path: string; readonly entry: Entry }
  /** Whole new contents of some blocks, ascending by index, laid end to end in `data`. */
  | {
      readonly op: "blocks";
      readonly path: string;
      readonly blockSize: number;
      readonly indexes: readonly number[];
      readonly data: Uint8Array;
    }
  | { readonly op: "remove"; readonly path: string }
  /**
   * Blocks of a file whose contents the base holds already: in file `from` as it was before this delta, whatever else the
   * delta does to it. With no `from` they are zeros. In a journal, `from` is the name of a pin (pins.ts).
   */
  | {
      readonly op: "copy";
      readonly path: string;
      readonly from: string;
      readonly runs: readonly CopyRun[];
    };

/** Blocks `first` and on hold what begins at byte `offset` of the source. */
export type CopyRun = Run & { readonly offset: number };
/** Whatever gives blocks their contents. */
export type Contents = Extract<Change, { op: "blocks" | "copy" }>;

/** Blocks in one change. */
export const CHANGE_BLOCKS_MAX = 512 * 1024;
const BLOCK_SIZE_MIN = 512;
const BLOCK_SIZE_MAX = 65_536;
/** Of one file or database: 128 GiB at 4 KiB. Bounds the memory a peer can make us take for hashes. */
const ENTRY_BLOCKS_MAX = 2 ** 25;
const ROOT_BYTES = 32;
const KINDS: readonly EntryKind[] = ["file", "database", "folder", "link"];
export const COPY_RUNS_MAX = 32 * 1024;
const OPS: readonly Change["op"][] = ["entry", "blocks", "remove", "copy"];

export function encodePosition(out: ByteWriter, position: Position): void {
  out.u53(position.epoch);
  out.u53(position.version);
  out.f64(position.hlc.wallMs);
  out.u32(position.hlc.counter);
  out.raw(Buffer.from(position.root, "hex"));
}

export function decodePosition(from: ByteReader): Position {
  const [epoch, version] = [from.u53(), from.u53()];
  const hlc: Hlc = { wallMs: from.f64(), counter: from.u32() };
  return { epoch, version, hlc, root: decodeRoot(from) };
}

export function encodeEntry(out: ByteWriter, entry: Entry): void {
  out.u8(KINDS.indexOf(entry.kind));
  out.u16(entry.mode);
  out.f64(entry.mtimeMs);
  out.u53(entry.size);
  out.u32(entry.blockSize);
  out.text(entry.target);
  out.u32(entry.uid);
  out.u32(entry.gid);
}

export function decodeEntry(from: ByteReader): Entry {
  const kind = pick(KINDS, from.u8(), "kind");
  const [mode, mtimeMs] = [from.u16(), from.f64()];
  const [size, blockSize, target] = [from.u53(), from.u32(), from.text(PATH_BYTES_MAX)];
  const [uid, gid] = [from.u32(), from.u32()];
  const holdsBlocks = kind === "file" || kind === "database";
  if (mode > 0o7777) throw garbage(`mode ${mode.toString(8)}`);
  if (
    holdsBlocks ? blockSize < BLOCK_SIZE_MIN || blockSize > BLOCK_SIZE_MAX : blockSize !== 0 || size !== 0
  ) {
    throw garbage(`${kind} of ${size} bytes in blocks of ${blockSize}`);
  }
  if (holdsBlocks && size > blockSize * ENTRY_BLOCKS_MAX) throw garbage(`${size} bytes are too many`);
  return { kind, mode, mtimeMs, size, blockSize, target, uid, gid };
}

export function encodeChange(out: ByteWriter, change: Change): void {
  out.u8(OPS.indexOf(change.op));
  out.text(change.path);
  switch (change.op) {
    case "entry":
      encodeEntry(out, change.entry);
      break;
    case "blocks":
      out.u32(change.blockSize);
      out.u32(change.indexes.length);
      out.raw(Buffer.from(Uint32Array.from(change.indexes).buffer));
      out.raw(change.data);
      break;
    case "remove":
      break;
    case "copy":
      out.text(change.from);
      out.u32(change.runs.length);
      for (const { first, count, offset } of change.runs) {
        out.u32(first);
        out.u32(count);
        out.u53(offset);
      }
      break;
  }
}

export function decodeChange(from: ByteReader): Change {
  const op = pick(OPS, from.u8(), "change");
  const path = pathText(from);
  switch (op) {
    case "entry":
      return { op, path, entry: decodeEntry(from) };
    case "blocks":
      return decodeBlocks(path, from);
    case "remove":
      return { op, path };
    case "copy":
      return decodeCopy(path, from);
  }
}

function decodeCopy(path: string, from: ByteReader): Change {
  const [source, length] = [from.text(PATH_BYTES_MAX), from.u32()];
  if (length === 0 || length > COPY_RUNS_MAX) throw garbage(`${length} runs in one copy`);
  let next = 0;
  const runs = Array.from({ length }, () => {
    const run = { first: from.u32(), count: from.u32(), offset: from.u53() };
    if (run.first < next || run.count === 0 || run.count > ENTRY_BLOCKS_MAX)
      throw garbage("runs of a copy do not ascend");
    next = run.first + run.count;
    return run;
  });
  return { op: "copy", path, from: source, runs };
}

function decodeBlocks(path: string, from: ByteReader): Change {
  const [blockSize, count] = [from.u32(), from.u32()];
  if (count === 0 || count > CHANGE_BLOCKS_MAX) throw garbage(`${count} blocks in one frame`);
  const indexes = Array.from({ length: count }, () => from.u32());
  const ascend = indexes.every((index, at) => at === 0 || index > indexes[at - 1]!);
  if (!ascend) throw garbage("block indexes do not ascend");
  const data = from.rest();
  // Only the last block may be short: it is the end of its file.
  if (data.length <= (count - 1) * blockSize || data.length > count * blockSize) {
    throw garbage(`${count} blocks of ${blockSize} in ${data.length} bytes`);
  }
  return { op: "blocks", path, blockSize, indexes, data };
}

export function pathText(from: ByteReader): string {
  return from.text(PATH_BYTES_MAX);
}

export function decodeRoot(from: ByteReader): string {
  return Buffer.from(from.raw(ROOT_BYTES)).toString("hex");
}

export function pick<T>(list: readonly T[], index: number, what: string): T {
  const value = list[index];
  if (value === undefined) throw garbage(`unknown ${what} ${index}`);
  return value;
}

export function garbage(reason: string): MirrorError {
  return new MirrorError("garbage", reason);
}
