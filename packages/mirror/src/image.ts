/**
 * Captures a block image whose writer says which parts of it have changed, as a virtual machine's change map does: nothing
 * else of it is read again. What is read is hashed all the same, so a map that says too much costs reading and no more.
 */

import { open } from "node:fs/promises";
import { basename } from "node:path";
import { BLOCK_BYTES, blockCount, blockHash, indexesOf, ZERO_HASH } from "./blocks.ts";
import { type Capture, type ChangeList, changeList } from "./capture.ts";
import { diskError } from "./error.ts";
import { FRAME_BYTES_AIM } from "./frames.ts";
import { blocksOf, type Entry, emptyManifest, hashAt, sameEntry, setBlocks, setEntry } from "./manifest.ts";
import { addRun } from "./matching.ts";
import { readWhole } from "./whole-io.ts";

/** In bytes of the image. */
export type DirtyRange = { readonly offset: number; readonly length: number };

export type ChangeMap = {
  /** Cheap: has anything changed since the last map was taken? */
  readonly pending: () => boolean;
  /** The parts written to since the last call; each is named by one call at least, and by the next one when this one fails. */
  readonly takeDirty: () => Promise<readonly DirtyRange[]>;
};

export type ImageOptions = ChangeMap & {
  readonly path: string;
  /** Of its name in the state; by default the file's own. */
  readonly name?: string;
};

const PIECE_BLOCKS = FRAME_BYTES_AIM / BLOCK_BYTES;

/** Resolves with all of the image read once. */
export async function captureImage(options: ImageOptions): Promise<Capture> {
  const { path, name = basename(path), pending, takeDirty } = options;
  const manifest = emptyManifest();
  /** Taken, but not yet read to the end. */
  let owed: readonly DirtyRange[] = [];
  /** Some of what the manifest holds is in no delta: shadows find it by its hash. */
  let isUntold = false;

  async function read(indexes: readonly number[], size: number): Promise<Uint8Array | undefined> {
    const file = await open(path, "r");
    try {
      const parts: Uint8Array[] = [];
      for (const index of indexes) {
        const block = Buffer.allocUnsafe(Math.min(BLOCK_BYTES, size - index * BLOCK_BYTES));
        if ((await readWhole(file, block, index * BLOCK_BYTES)) < block.length) return undefined;
        parts.push(block);
      }
      return Buffer.concat(parts);
    } finally {
      await file.close();
    }
  }

  async function look(ranges: readonly DirtyRange[], changes: ChangeList): Promise<void> {
    const file = await open(path, "r");
    try {
      const { size, mode, mtimeMs, uid, gid } = await file.stat();
      const plain = { mode: mode & 0o7777, mtimeMs, uid, gid };
      const entry: Entry = { kind: "file", size, blockSize: BLOCK_BYTES, target: "", ...plain };
      const before = manifest.entries.get(name)?.entry;
      const grown = { offset: before?.size ?? 0, length: Math.max(0, size - (before?.size ?? 0)) };
      const dirty = blocksIn([...ranges, grown], size);
      if (dirty.length === 0 && before && sameEntry(before, entry)) return;
      setEntry(manifest, name, { entry });
      changes.add({ op: "entry", path: name, entry });
      for (let at = 0; at < dirty.length; at += PIECE_BLOCKS) {
        const indexes = dirty.slice(at, at + PIECE_BLOCKS);
        const data = await read(indexes, size);
        if (!data) throw new Error("the image shrank while it was read");
        record(indexes, { data, changes });
      }
    } finally {
      await file.close();
    }
  }

  function record(
    indexes: readonly number[],
    { data, changes }: { data: Uint8Array; changes: ChangeList },
  ): void {
    const held = manifest.entries.get(name)!;
    const each = indexes.map((index, at) => {
      const block = data.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES);
      return { index, block, hash: blockHash(block) };
    });
    const changed = each.filter(({ index, hash }) => !hashAt(held, index).equals(hash));
    if (changed.length === 0) return;
    const hashes = Buffer.concat(changed.map(({ hash }) => hash));
    setBlocks(manifest, name, { indexes: changed.map(({ index }) => index), hashes });
    const zeros = changed.filter(({ hash }) => hash === ZERO_HASH);
    const sent = changed.filter(({ hash }) => hash !== ZERO_HASH);
    if (zeros.length > 0) {
      const runs: Parameters<typeof addRun>[0] = [];
      for (const { index } of zeros) addRun(runs, { first: index, offset: index * BLOCK_BYTES });
      changes.add({ op: "copy", path: name, from: "", runs });
    }
    if (sent.length === 0) return;
    const kept = changes.room > 0 ? Buffer.concat(sent.map(({ block }) => block)) : new Uint8Array(0);
    const blockIndexes = sent.map(({ index }) => index);
    if (changes.room < sent.length * BLOCK_BYTES) changes.overflow();
    changes.add({ op: "blocks", path: name, blockSize: BLOCK_BYTES, indexes: blockIndexes, data: kept });
  }

  await look([{ offset: 0, length: Number.MAX_SAFE_INTEGER }], changeList(0)).catch((error) => {
    throw diskError(`image ${name}`, error);
  });
  return {
    manifest,
    pending: () => owed.length > 0 || pending(),
    async take() {
      const changes = changeList();
      try {
        owed = [...owed, ...(await takeDirty())];
        if (isUntold) changes.overflow();
        isUntold = true;
        await look(owed, changes);
      } catch (error) {
        throw diskError(`image ${name}`, error);
      }
      [owed, isUntold] = [[], false];
      return changes;
    },
    async read(wanted, indexes) {
      const entry = wanted === name ? manifest.entries.get(name)?.entry : undefined;
      if (!entry || indexes.some((index) => index >= blocksOf(entry))) return undefined;
      return read(indexes, entry.size);
    },
    close: () => undefined,
  };
}

/** Ascending, each once, none beyond the end. */
function blocksIn(ranges: readonly DirtyRange[], size: number): number[] {
  const count = blockCount(size, BLOCK_BYTES);
  const dirty = new Uint8Array(count);
  for (const { offset, length } of ranges.filter((range) => range.length > 0)) {
    const first = Math.floor(offset / BLOCK_BYTES);
    dirty.fill(1, first, Math.min(count, Math.ceil((offset + length) / BLOCK_BYTES)));
  }
  return indexesOf([{ first: 0, count }]).filter((index) => dirty[index] === 1);
}
