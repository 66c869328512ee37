/** Reads what a copy refers to, in pieces of a frame at most. */

import { BLOCK_BYTES, hashesOf, ZERO_HASH } from "./blocks.ts";
import type { Contents, CopyRun } from "./change.ts";
import { MirrorError } from "./error.ts";
import { FRAME_BYTES_AIM } from "./frames.ts";
import { readWhole } from "./whole-io.ts";

type Copy = Extract<Contents, { op: "copy" }>;
type Source = Parameters<typeof readWhole>[0];
export type CopiedPiece = { readonly first: number; readonly data: Uint8Array };

const PIECE_BLOCKS = FRAME_BYTES_AIM / BLOCK_BYTES;

/** `size` is that of the file copied to: only its last block may be short. */
export async function* copiedPieces(
  source: Source,
  { runs, size }: { runs: readonly CopyRun[]; size: number },
): AsyncGenerator<CopiedPiece> {
  for (const run of runs) {
    for (let done = 0; done < run.count; done += PIECE_BLOCKS) {
      const first = run.first + done;
      const count = Math.min(PIECE_BLOCKS, run.count - done);
      const length = Math.min(count * BLOCK_BYTES, size - first * BLOCK_BYTES);
      const data = Buffer.allocUnsafe(Math.max(0, length));
      const found = await readWhole(source, data, run.offset + done * BLOCK_BYTES);
      if (found < length) throw new MirrorError("mismatch", "a copy reaches beyond the end of its source");
      yield { first, data };
    }
  }
}

/** Hashes of all blocks of a copy, in order. Without a source they are zeros. */
export async function copiedHashes(
  { path, runs }: Copy,
  { source, size }: { source: Source | undefined; size: number },
): Promise<Buffer> {
  if (!source) {
    const count = runs.reduce((sum, run) => sum + run.count, 0);
    const last = runs.at(-1)!;
    if ((last.first + last.count) * BLOCK_BYTES > size)
      throw new MirrorError("garbage", `${path}: zeros for half a block`);
    return Buffer.alloc(count * ZERO_HASH.length, ZERO_HASH);
  }
  const hashes: Uint8Array[] = [];
  for await (const { data } of copiedPieces(source, { runs, size })) hashes.push(hashesOf(data, BLOCK_BYTES));
  return Buffer.concat(hashes);
}
