/** A shadow's manifest on its way to the primary: what it has, so that only what differs has to travel back. */

import { HASH_BYTES } from "./blocks.ts";
import { MirrorError } from "./error.ts";
import { encodeFrame, FRAME_BYTES_AIM, type Frame } from "./frames.ts";
import {
  blocksOf,
  emptyManifest,
  type Manifest,
  rootOf,
  sameEntry,
  setBlocks,
  setEntry,
} from "./manifest.ts";

const ENTRIES_MAX = 2_000_000;
/** Of hashes in memory: 1 TiB of state at 4 KiB. */
const BLOCKS_MAX = 2 ** 28;
const HASHES_PER_FRAME = FRAME_BYTES_AIM / HASH_BYTES;

export function* manifestFrames(manifest: Manifest): Generator<Uint8Array> {
  for (const [path, { entry, hashes }] of manifest.entries) {
    const count = blocksOf(entry);
    let first = 0;
    do {
      const last = Math.min(count, first + HASHES_PER_FRAME);
      const some = hashes.subarray(first * HASH_BYTES, last * HASH_BYTES);
      yield encodeFrame({ type: "manifest", path, entry, first, hashes: some });
      first = last;
    } while (first < count);
  }
  yield encodeFrame({ type: "manifestEnd", root: rootOf(manifest) });
}

/** Reads up to the manifest's end. Throws when it does not add up to `root`. */
export async function receiveManifest(frames: AsyncGenerator<Frame>, root: string): Promise<Manifest> {
  const manifest = emptyManifest();
  let blocks = 0;
  for (;;) {
    const { value: frame } = await frames.next();
    if (!frame) throw new MirrorError("unreachable", "connection closed within the manifest");
    if (frame.type === "progress") continue;
    if (frame.type === "manifestEnd") break;
    if (frame.type !== "manifest")
      throw new MirrorError("garbage", `${frame.type} frame within the manifest`);
    if (frame.first === 0) blocks += blocksOf(frame.entry);
    if (manifest.entries.size >= ENTRIES_MAX || blocks > BLOCKS_MAX)
      throw new MirrorError("garbage", "manifest too long");
    addPart(manifest, frame);
  }
  if (rootOf(manifest) !== root)
    throw new MirrorError("mismatch", "the manifest is not of the position it came with");
  return manifest;
}

function addPart(
  manifest: Manifest,
  { path, entry, first, hashes }: Extract<Frame, { type: "manifest" }>,
): void {
  const held = manifest.entries.get(path);
  if (first === 0) setEntry(manifest, path, { entry });
  else if (!held || !sameEntry(held.entry, entry)) {
    throw new MirrorError("garbage", `hashes of ${path}, which is not there or not like that`);
  }
  if (hashes.length === 0) return;
  const indexes = Array.from({ length: hashes.length / HASH_BYTES }, (_, at) => first + at);
  setBlocks(manifest, path, { indexes, hashes });
}
