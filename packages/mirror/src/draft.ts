/**
 * Writes the next contents of a file beside it: from what it is now, from blocks that came, and from pins. What is zeros
 * is left out where there is nothing yet, so that a sparse file stays sparse on a shadow.
 */

import { constants, type Stats } from "node:fs";
import { chmod, copyFile, type FileHandle, link, lstat, open } from "node:fs/promises";
import { BLOCK_BYTES, blockCount, isZeroBlock, type Run, runsOf } from "./blocks.ts";
import type { Contents } from "./change.ts";
import { copiedPieces } from "./copies.ts";
import { errnoOf } from "./error.ts";
import { FRAME_BYTES_AIM } from "./frames.ts";
import type { Slot } from "./journal.ts";
import type { Entry } from "./manifest.ts";
import type { Pins } from "./pins.ts";
import type { Planned } from "./plan.ts";
import { readWhole, writeWhole } from "./whole-io.ts";

type DraftOptions = {
  readonly planned: Planned;
  readonly read: (slot: Slot) => Promise<Contents>;
  /** The file as it is; undefined when nothing of it is kept. */
  readonly base: string | undefined;
  readonly pins: Pins;
};

const PIECE_BLOCKS = FRAME_BYTES_AIM / BLOCK_BYTES;

export async function writeDraft(draft: string, options: DraftOptions): Promise<void> {
  const { planned, read, base, pins } = options;
  // Copies most often make all of a file anew: then only what they leave out is taken from the file as it is.
  const cloned = base !== undefined && !planned.copies;
  if (cloned) {
    await cloneFile(base, draft);
    await chmod(draft, 0o600);
  }
  const file = await open(draft, cloned ? "r+" : "wx+", 0o600);
  try {
    const written: Run[] = [];
    for (const slot of planned.slots)
      written.push(...(await writeContents(file, await read(slot), { planned, pins })));
    if (base !== undefined && !cloned) await fillFrom(base, file, { written, size: planned.entry.size });
    await file.truncate(planned.entry.size);
  } finally {
    await file.close();
  }
}

/** True when the draft is a whole pinned file: the very same one where it may move, else a clone. */
export async function placeMoved(
  pins: Pins,
  draft: string,
  { moved, entry, movable }: { moved: Contents; entry: Entry; movable: (pin: string) => boolean },
): Promise<boolean> {
  if (moved.op !== "copy" || moved.from === "" || moved.runs.length !== 1) return false;
  const { first, count, offset } = moved.runs[0]!;
  if (first !== 0 || offset !== 0 || count !== blockCount(entry.size, BLOCK_BYTES)) return false;
  const pin = pins.at(moved.from);
  const stats = await lstat(pin);
  if (stats.size !== entry.size) return false;
  if (movable(moved.from) && (stats.nlink === 1 || looksLike(stats, entry))) await link(pin, draft);
  else await cloneFile(pin, draft);
  return true;
}

/** Then it may stay in other trees as it is: whoever sets its mode or time changes nothing. */
function looksLike({ mode, uid, gid, mtimeMs }: Stats, entry: Entry): boolean {
  const isSameOwner = process.geteuid?.() !== 0 || (uid === entry.uid && gid === entry.gid);
  return (mode & 0o7777) === entry.mode && isSameOwner && Math.abs(mtimeMs - entry.mtimeMs) < 1;
}

/** Resolves with the blocks it gave their contents. */
async function writeContents(
  file: FileHandle,
  contents: Contents,
  { planned, pins }: { planned: Planned; pins: Pins },
): Promise<readonly Run[]> {
  if (contents.op === "blocks") return writeBlocks(file, contents);
  if (contents.from === "") {
    for (const { first, count } of contents.runs) await writeZeros(file, { first, count });
    return contents.runs;
  }
  const source = await pins.open(contents.from);
  try {
    const size = planned.entry.size;
    // An earlier delta of the same plan may have been longer than the file is now.
    const runs = contents.runs.flatMap((run) => {
      const count = Math.min(run.count, blockCount(size, BLOCK_BYTES) - run.first);
      return count > 0 ? [{ ...run, count }] : [];
    });
    for await (const { first, data } of copiedPieces(source, { runs, size })) {
      await writeWhole(file, data, first * BLOCK_BYTES);
    }
  } finally {
    await source.close();
  }
  return contents.runs;
}

async function writeBlocks(
  file: FileHandle,
  { indexes, blockSize, data }: Extract<Contents, { op: "blocks" }>,
): Promise<readonly Run[]> {
  const runs = [...runsOf(indexes)];
  let from = 0;
  for (const { first, count } of runs) {
    const piece = data.subarray(from, from + count * blockSize);
    await writeWhole(file, piece, first * blockSize);
    from += piece.length;
  }
  return runs;
}

/** Only over what is not zero already: nothing is allocated for a hole. */
async function writeZeros(file: FileHandle, run: Run): Promise<void> {
  const zeros = Buffer.alloc(BLOCK_BYTES);
  const buffer = Buffer.allocUnsafe(FRAME_BYTES_AIM);
  for (let done = 0; done < run.count; done += PIECE_BLOCKS) {
    const at = (run.first + done) * BLOCK_BYTES;
    const wanted = Math.min(PIECE_BLOCKS, run.count - done) * BLOCK_BYTES;
    const length = await readWhole(file, buffer.subarray(0, wanted), at);
    for (let offset = 0; offset < length; offset += BLOCK_BYTES) {
      const block = buffer.subarray(offset, Math.min(length, offset + BLOCK_BYTES));
      if (!isZeroBlock(block)) await writeWhole(file, zeros, at + offset);
    }
    if (length < wanted) return;
  }
}

/** The blocks that nothing has been written to; they are where they were in the file as it is. */
async function fillFrom(
  base: string,
  file: FileHandle,
  { written, size }: { written: readonly Run[]; size: number },
): Promise<void> {
  const source = await open(base, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    for (const run of runsOf(missingFrom(written, blockCount(size, BLOCK_BYTES))))
      await copyRange(source, file, run);
  } finally {
    await source.close();
  }
}

function* missingFrom(written: readonly Run[], count: number): Generator<number> {
  const done = new Uint8Array(count);
  for (const { first, count: length } of written) done.fill(1, first, first + length);
  for (let index = 0; index < count; index += 1) if (done[index] === 0) yield index;
}

/** As far as the source goes; blocks of zeros are left out. */
async function copyRange(source: FileHandle, file: FileHandle, { first, count }: Run): Promise<void> {
  const buffer = Buffer.allocUnsafe(Math.min(FRAME_BYTES_AIM, count * BLOCK_BYTES));
  for (let done = 0; done < count; done += PIECE_BLOCKS) {
    const wanted = Math.min(PIECE_BLOCKS, count - done) * BLOCK_BYTES;
    const at = (first + done) * BLOCK_BYTES;
    const length = await readWhole(source, buffer.subarray(0, wanted), at);
    await writeUnlessZero(file, buffer.subarray(0, length), at);
    if (length < wanted) return;
  }
}

async function writeUnlessZero(file: FileHandle, data: Uint8Array, at: number): Promise<void> {
  const indexes = Array.from({ length: blockCount(data.length, BLOCK_BYTES) }, (_, index) => index);
  const filled = indexes.filter(
    (index) => !isZeroBlock(data.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES)),
  );
  for (const { first, count } of runsOf(filled)) {
    const piece = data.subarray(first * BLOCK_BYTES, (first + count) * BLOCK_BYTES);
    await writeWhole(file, piece, at + first * BLOCK_BYTES);
  }
}

/** By reference where the file system can, without holes where the file has some, and whole otherwise. */
async function cloneFile(from: string, to: string): Promise<void> {
  const stats = await lstat(from);
  const isSparse = stats.blocks * 512 < stats.size;
  try {
    await copyFile(from, to, isSparse ? constants.COPYFILE_FICLONE_FORCE : constants.COPYFILE_FICLONE);
  } catch (error) {
    const cannotClone = ["ENOTSUP", "EOPNOTSUPP", "EXDEV", "EINVAL", "ENOSYS", "ENOTTY"].includes(
      errnoOf(error),
    );
    if (!isSparse || !cannotClone) throw error;
    await copySparse(from, to, stats.size);
  }
}

async function copySparse(from: string, to: string, size: number): Promise<void> {
  const source = await open(from, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const file = await open(to, "w", 0o600);
    try {
      await copyRange(source, file, { first: 0, count: blockCount(size, BLOCK_BYTES) });
      await file.truncate(size);
    } finally {
      await file.close();
    }
  } finally {
    await source.close();
  }
}
