/**
 * Where the contents of a path that has just appeared may be found on a shadow: in a path that has gone or changed at the
 * same time. So a rename, of a file or of a folder, and the rotation of a log cost names instead of contents. Contents are
 * told by their hashes, never by names or inodes: those are used again.
 */

import { HASH_BYTES } from "./blocks.ts";
import { blocksOf, type Manifest } from "./manifest.ts";

export type Source = { readonly path: string; readonly hashes: Buffer };

export interface Sources {
  /** A file that began with this block before the changes under way. */
  beginningWith(hash: Uint8Array): Source | undefined;
}

/** Of hashes kept aside for one set of changes. */
const BYTES_MAX = 64 * 1024 * 1024;

/** `paths` as the manifest has them now; whatever happens to it later is not seen here. */
export function sourcesOf(manifest: Manifest, paths: Iterable<string>): Sources {
  const byBeginning = new Map<string, Source>();
  let bytes = 0;
  for (const path of paths) {
    const held = manifest.entries.get(path);
    if (held?.entry.kind !== "file" || held.entry.size === 0) continue;
    const hashes = Buffer.from(held.hashes.subarray(0, blocksOf(held.entry) * HASH_BYTES));
    bytes += hashes.length;
    if (bytes > BYTES_MAX) break;
    byBeginning.set(keyOf(hashes), { path, hashes });
  }
  return { beginningWith: (hash) => byBeginning.get(keyOf(hash)) };
}

function keyOf(hashes: Uint8Array): string {
  return Buffer.from(hashes.buffer, hashes.byteOffset, HASH_BYTES).toString("latin1");
}

/** True when the block is where it was in the source. */
export function holdsAt({ hashes }: Source, index: number, hash: Uint8Array): boolean {
  const from = index * HASH_BYTES;
  return from < hashes.length && hashes.compare(hash, 0, HASH_BYTES, from, from + HASH_BYTES) === 0;
}
