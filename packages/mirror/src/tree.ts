/**
 * Captures files and folders: watches say which paths may have changed, and a periodic scrub finds what the watches lost.
 * A file that is being written may be caught in the middle of a write; states that cannot bear that are captured by
 * databases.ts, or later by a freeze.
 */

import { constants, type Stats } from "node:fs";
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { blockLength, runsOf } from "./blocks.ts";
import { type Capture, type ChangeList, changeList } from "./capture.ts";
import { errnoOf, MirrorError } from "./error.ts";
import { blocksOf, emptyManifest, type Manifest } from "./manifest.ts";
import { isCovered, joinPath, leadsToRoot } from "./paths.ts";
import type { Still } from "./still.ts";
import { type TreeReader, visitPath } from "./tree-reader.ts";
import { openWatches } from "./watches.ts";

export const SCRUB_MS = 30_000;
/** Where folders cannot be watched, looking is all there is. */
const UNWATCHED_SCRUB_MS = 1_000;
/** A file written this short before it was read may be written again within the same time stamp. */
const STAMP_MS = 50;

/** How a path looked when it was last read. */
type Seen = {
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly size: number;
  readonly readAtMs: number;
};

export type TreeOptions = {
  readonly dir: string;
  readonly roots: readonly string[];
  readonly workDir: string;
  readonly nowMs: () => number;
  readonly scrubMs?: number;
  /** Makes the writer stand still for each look; left out, files are read while they are written. */
  readonly still?: Still;
  readonly onError: (error: Error) => void;
};

/** The manifest of a state that nobody watches. */
export async function scanTree({
  dir,
  roots,
  onError,
}: {
  dir: string;
  roots: readonly string[];
  onError: (error: Error) => void;
}): Promise<Manifest> {
  const nothing = () => undefined;
  const manifest = emptyManifest();
  const reader: TreeReader = {
    dir,
    roots,
    manifest,
    onFolder: nothing,
    onGone: nothing,
    onSeen: nothing,
    onSkip: onError,
  };
  await visitPath(reader, "", { changes: changeList(0), deep: true });
  return manifest;
}

/** Resolves with all of the state read and watched. */
export async function captureTree(options: TreeOptions): Promise<Capture> {
  const { dir, roots, onError, nowMs } = options;
  const seen = new Map<string, Seen>();
  let dirty = new Set<string>();
  const skipped = new Set<string>();
  let unwatched: NodeJS.Timeout | undefined;
  let scrubbing: Promise<void> | undefined;

  /** Once for each path and reason: a scrub meets it again and again. */
  function report(error: Error): void {
    if (skipped.has(error.message)) return;
    skipped.add(error.message);
    onError(error);
  }

  function scrub(): Promise<void> {
    const onDirty = (path: string) => void dirty.add(path);
    scrubbing ??= scrubTree({ dir, roots, seen, manifest: reader.manifest, onDirty }).finally(() => {
      scrubbing = undefined;
    });
    return scrubbing;
  }

  const watches = openWatches({
    dir,
    markDir: join(options.workDir, "marks"),
    onChange: (path) => void dirty.add(path),
    onUnwatched(path, cause) {
      unwatched ??= setInterval(() => scrub().catch(report), UNWATCHED_SCRUB_MS);
      report(
        new MirrorError(
          "io",
          `cannot watch ${path || "."}: ${cause.message}; each seal looks at every file`,
          { cause },
        ),
      );
    },
  });
  const reader: TreeReader = {
    dir,
    roots,
    manifest: emptyManifest(),
    onFolder: (path) => watches.add(path),
    onGone(path) {
      watches.drop(path);
      seen.delete(path);
    },
    onSeen: (path, stats) => void seen.set(path, seenOf(stats, nowMs())),
    onSkip: report,
  };
  await visitPath(reader, "", { changes: changeList(0), deep: true });
  const timer = setInterval(() => scrub().catch(report), options.scrubMs ?? SCRUB_MS);

  /** All that changed up to now. */
  async function dirtyPaths(): Promise<string[]> {
    const settled = await watches.settle();
    if (!settled || unwatched) await scrub();
    const batch = [...dirty].sort();
    dirty = new Set();
    return batch;
  }

  async function takeFrom(from: TreeReader, batch: readonly string[]): Promise<ChangeList> {
    const changes = changeList();
    for (const path of batch) await visitPath(from, path, { changes, deep: false });
    return changes;
  }

  async function takeStill(still: Still): Promise<ChangeList> {
    let batch: string[] = [];
    try {
      await still.begin();
      batch = await dirtyPaths();
      const takenAtMs = nowMs();
      const isKnownFolder = (path: string) => reader.manifest.entries.get(path)?.entry.kind === "folder";
      const view = await still.take(batch, isKnownFolder);
      const onSeen = (path: string, stats: Stats) =>
        void seen.set(path, seenOf(view.statsOf(path) ?? stats, takenAtMs));
      const changes = await takeFrom({ ...reader, dir: view.dir, onSeen }, batch);
      await still.done();
      return changes;
    } catch (error) {
      for (const path of batch) dirty.add(path);
      await still.drop();
      throw error;
    }
  }

  function close(): void {
    clearInterval(timer);
    clearInterval(unwatched);
    watches.close();
  }

  const { still } = options;
  try {
    // What was read while it was written is no version yet.
    if (still) await takeStill(still);
  } catch (error) {
    close();
    throw error;
  }
  return {
    manifest: reader.manifest,
    pending: () => dirty.size > 0,
    take: async () => (still ? takeStill(still) : takeFrom(reader, await dirtyPaths())),
    read: (path, indexes) => readBlocks(reader, { path, indexes, onShort: () => void dirty.add(path) }),
    close,
  };
}

function seenOf(stats: Stats, readAtMs: number): Seen {
  return { mtimeMs: stats.mtimeMs, ctimeMs: stats.ctimeMs, size: stats.size, readAtMs };
}

/** Looks at every path without reading contents, and names those that are not as they were read. */
async function scrubTree({
  dir,
  roots,
  seen,
  manifest,
  onDirty,
}: {
  dir: string;
  roots: readonly string[];
  seen: ReadonlyMap<string, Seen>;
  manifest: Manifest;
  onDirty: (path: string) => void;
}): Promise<void> {
  const present = new Set<string>();
  const look = async (path: string): Promise<void> => {
    const leads = path === "" || leadsToRoot(path, roots);
    if (!leads && !isCovered(path, roots)) return;
    const stats = await lstat(join(dir, path)).catch((error) => {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    });
    if (!stats) return;
    present.add(path);
    if (!looksSame(seen.get(path), stats)) onDirty(path);
    if (!stats.isDirectory()) return;
    for (const name of await readdir(join(dir, path)).catch(() => [])) await look(joinPath(path, name));
  };
  await look("");
  for (const path of manifest.entries.keys()) if (!present.has(path)) onDirty(path);
}

function looksSame(seen: Seen | undefined, stats: Stats): boolean {
  if (!seen) return false;
  if (stats.isDirectory()) return seen.ctimeMs === stats.ctimeMs;
  const settled = stats.mtimeMs < seen.readAtMs - STAMP_MS;
  return (
    settled && seen.mtimeMs === stats.mtimeMs && seen.ctimeMs === stats.ctimeMs && seen.size === stats.size
  );
}

async function readBlocks(
  reader: TreeReader,
  { path, indexes, onShort }: { path: string; indexes: readonly number[]; onShort: () => void },
): Promise<Uint8Array | undefined> {
  const entry = reader.manifest.entries.get(path)?.entry;
  if (entry?.kind !== "file" || indexes.some((index) => index >= blocksOf(entry))) return undefined;
  const file = await open(join(reader.dir, path), constants.O_RDONLY | constants.O_NOFOLLOW).catch(
    () => undefined,
  );
  if (!file) {
    onShort();
    return undefined;
  }
  try {
    const parts: Uint8Array[] = [];
    for (const { first, count } of runsOf(indexes)) {
      const whole =
        (count - 1) * entry.blockSize + blockLength(first + count - 1, entry.size, entry.blockSize);
      const buffer = Buffer.allocUnsafe(whole);
      const { bytesRead } = await file.read(buffer, 0, whole, first * entry.blockSize);
      if (bytesRead < whole) {
        onShort();
        return undefined;
      }
      parts.push(buffer);
    }
    return Buffer.concat(parts);
  } finally {
    await file.close();
  }
}
