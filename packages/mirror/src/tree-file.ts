/**
 * Compares one file with what the manifest has of it. Blocks are compared at their places; once a longer stretch differs,
 * the rest is searched for what has moved (matching.ts), and what a new file holds is looked for where it may come from
 * (sources.ts). The hash recorded is always of the bytes handed on, however the file changes meanwhile.
 */

import type { Stats } from "node:fs";
import { BLOCK_BYTES, blockCount, blockHash, indexesOf, ZERO_HASH } from "./blocks.ts";
import type { ChangeList } from "./capture.ts";
import { COPY_RUNS_MAX, type CopyRun } from "./change.ts";
import { FRAME_BYTES_AIM } from "./frames.ts";
import { blocksOf, type Held, hashAt, type Manifest, setBlocks } from "./manifest.ts";
import { addRun, matchMoved, onlyChanged } from "./matching.ts";
import { holdsAt, type Source } from "./sources.ts";
import type { TreeReader } from "./tree-reader.ts";
import { type ByteSource, readWhole } from "./whole-io.ts";

/** A read is a frame at most. */
const READ_BYTES = FRAME_BYTES_AIM;
/** So many blocks in a row that differ are a sign that something has moved, or that all is new. */
export const MOVED_BLOCKS_MIN = 16;
const NOTHING = new Uint8Array(0);

type Literal = { readonly indexes: number[]; readonly hashes: Uint8Array; readonly data: Uint8Array };
type Copied = { readonly from: string; readonly runs: CopyRun[]; readonly hashes: Uint8Array };
export type Piece = { readonly literal: Literal; readonly copied: readonly Copied[] };
export type Found = {
  readonly size: number;
  /** What differs; pieces without a difference are left out. */
  readonly pieces: readonly Piece[];
  readonly literalBytes: number;
};

type CompareOptions = {
  readonly path: string;
  readonly stats: Pick<Stats, "size">;
  readonly reader: Pick<TreeReader, "manifest" | "sources">;
  readonly changes: ChangeList;
  /** Takes what differs as it is found, instead of the result; with the bytes read so far. */
  readonly onPiece?: (piece: Piece, size: number) => void;
};

export async function compareFile(file: ByteSource, options: CompareOptions): Promise<Found> {
  const { path, stats, reader, changes, onPiece } = options;
  const held = reader.manifest.entries.get(path);
  // Who takes the pieces as they come begins with nothing.
  const before = !onPiece && held?.entry.kind === "file" ? held : undefined;
  const pieces: Piece[] = [];
  let [size, literalBytes] = [0, 0];
  let source: Source | undefined;

  function add(piece: Piece): void {
    literalBytes += piece.literal.indexes.length * BLOCK_BYTES;
    if (piece.literal.indexes.length === 0 && piece.copied.length === 0) return;
    if (onPiece) onPiece(piece, size);
    else pieces.push(piece);
  }

  const readBytes = Math.min(READ_BYTES, blockCount(stats.size + 1, BLOCK_BYTES) * BLOCK_BYTES);
  const buffer = Buffer.allocUnsafe(readBytes);
  for (;;) {
    const length = await readWhole(file, buffer, size);
    if (size === 0 && !before && length > 0) {
      source = reader.sources?.beginningWith(blockHash(buffer.subarray(0, Math.min(length, BLOCK_BYTES))));
    }
    const keep = literalBytes <= changes.room;
    const { piece, moved } = differingIn(buffer.subarray(0, length), { at: size, before, source, keep });
    size += length;
    add(piece);
    if (moved !== undefined && before) {
      const rest = await searchRest(file, { before, path, first: moved, room: changes.room - literalBytes });
      for (const each of rest.pieces) add(each);
      return { size: rest.size, pieces, literalBytes };
    }
    if (length < buffer.length) return { size, pieces, literalBytes };
  }
}

type DifferingOptions = { at: number; before: Held | undefined; source: Source | undefined; keep: boolean };

/** The blocks of one read that are not as they were; up to the one from which on too many differ, if there is one. */
function differingIn(
  buffer: Buffer,
  { at, before, source, keep }: DifferingOptions,
): { piece: Piece; moved: number | undefined } {
  const known = before ? blocksOf(before.entry) : 0;
  const parts = collect(keep);
  let inRow = 0;
  for (let offset = 0; offset < buffer.length; offset += BLOCK_BYTES) {
    const block = buffer.subarray(offset, offset + BLOCK_BYTES);
    const index = (at + offset) / BLOCK_BYTES;
    const hash = blockHash(block);
    if (before && index < known && hashAt(before, index).equals(hash)) {
      inRow = 0;
      continue;
    }
    if (hash === ZERO_HASH) parts.copy("", index, hash);
    else if (source && holdsAt(source, index, hash)) parts.copy(source.path, index, hash);
    else parts.send(index, { hash, block });
    inRow = index < known ? inRow + 1 : 0;
    if (inRow >= MOVED_BLOCKS_MIN) return { piece: parts.without(inRow), moved: index + 1 - inRow };
  }
  return { piece: parts.without(0), moved: undefined };
}

function collect(keep: boolean) {
  type Each = { index: number; hash: Uint8Array; block?: Uint8Array; from?: string };
  const all: Each[] = [];
  return {
    copy: (from: string, index: number, hash: Uint8Array) => void all.push({ index, hash, from }),
    send: (index: number, { hash, block }: { hash: Uint8Array; block: Uint8Array }) =>
      void all.push(keep ? { index, hash, block } : { index, hash }),
    /** All but the last ones. */
    without(count: number): Piece {
      const kept = all.slice(0, all.length - count);
      const sent = kept.filter(({ from }) => from === undefined);
      const froms = new Set(kept.flatMap(({ from }) => (from === undefined ? [] : [from])));
      return {
        literal: {
          indexes: sent.map(({ index }) => index),
          hashes: Buffer.concat(sent.map(({ hash }) => hash)),
          data: Buffer.concat(sent.flatMap(({ block }) => (block ? [block] : []))),
        },
        copied: [...froms].map((from) =>
          copiedFrom(
            from,
            kept.filter((each) => each.from === from),
          ),
        ),
      };
    },
  };
}

function copiedFrom(from: string, blocks: readonly { index: number; hash: Uint8Array }[]): Copied {
  const runs: CopyRun[] = [];
  for (const { index } of blocks) addRun(runs, { first: index, offset: index * BLOCK_BYTES });
  return { from, runs, hashes: Buffer.concat(blocks.map(({ hash }) => hash)) };
}

type SearchOptions = { before: Held; path: string; first: number; room: number };

async function searchRest(
  file: ByteSource,
  { before, path, first, room }: SearchOptions,
): Promise<{ size: number; pieces: Piece[] }> {
  const pieces: Piece[] = [];
  let size = first * BLOCK_BYTES;
  let kept = 0;
  const old = { hashes: before.hashes, size: before.entry.size };
  const read = async (buffer: Uint8Array, offset: number) => {
    const length = await readWhole(file, buffer, offset);
    size = offset + length;
    return length;
  };
  for await (const piece of matchMoved({ old, first, read })) {
    const { literal, copied } = onlyChanged(piece, before);
    kept += literal.data.length;
    pieces.push({
      literal: kept <= room ? literal : { ...literal, data: NOTHING },
      copied: copied.runs.length > 0 ? [{ from: path, ...copied }] : [],
    });
  }
  return { size, pieces };
}

/** Into the manifest and the changes; the entry is there already. */
export function record(
  manifest: Manifest,
  path: string,
  { pieces, changes }: { pieces: readonly Piece[]; changes: ChangeList },
): void {
  const runs = new Map<string, CopyRun[]>();
  for (const { literal, copied } of pieces) {
    const { indexes, hashes, data } = literal;
    if (indexes.length > 0) {
      setBlocks(manifest, path, { indexes, hashes });
      changes.add({ op: "blocks", path, blockSize: BLOCK_BYTES, indexes, data });
    }
    for (const copy of copied) {
      setBlocks(manifest, path, { indexes: indexesOf(copy.runs), hashes: copy.hashes });
      const all = runs.get(copy.from) ?? [];
      for (const run of copy.runs) all.push(run);
      runs.set(copy.from, all);
    }
  }
  for (const [from, all] of runs) {
    const joined = joinRuns(all);
    for (let at = 0; at < joined.length; at += COPY_RUNS_MAX) {
      changes.add({ op: "copy", path, from, runs: joined.slice(at, at + COPY_RUNS_MAX) });
    }
  }
}

/** Runs that go on across two reads. */
function joinRuns(runs: readonly CopyRun[]): CopyRun[] {
  const joined: CopyRun[] = [];
  for (const run of runs) {
    const last = joined.at(-1);
    const goesOn =
      last && last.first + last.count === run.first && last.offset + last.count * BLOCK_BYTES === run.offset;
    if (goesOn) joined[joined.length - 1] = { ...last, count: last.count + run.count };
    else joined.push(run);
  }
  return joined;
}
