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
import { isCritical, mayLeadToCritical } from "./critical.ts";
import { errnoOf, MirrorError } from "./error.ts";
import { type Excludes, excludes } from "./exclude.ts";
import { blocksOf, type Entry, emptyManifest, type Manifest } from "./manifest.ts";
import { isCovered, joinPath, leadsToRoot } from "./paths.ts";
import { sameFiles } from "./same-file.ts";
import { type Sources, sourcesOf } from "./sources.ts";
import type { Still } from "./still.ts";
import { type TreeReader, visitPath } from "./tree-reader.ts";
import { openWatches } from "./watches.ts";

export const SCRUB_MS = 30_000;
/** Where folders cannot be watched, looking is all there is. */
const UNWATCHED_SCRUB_MS = 1_000;
/** A file written this short before it was read may be written again within the same time stamp. */
const STAMP_MS = 50;

/** What is marked of a path that may change again within the time stamp it was read with. */
const UNSETTLED = -1;

export type TreeOptions = {
  readonly dir: string;
  readonly roots: readonly string[];
  readonly workDir: string;
  readonly nowMs: () => number;
  readonly scrubMs?: number;
  /** Makes the writer stand still for each look; left out, files are read while they are written. */
  readonly still?: Still;
  readonly onError: (error: Error) => void;
  readonly exclude?: readonly string[];
  /** A path under one of these globs may have changed: it is not to wait for the tick. */
  readonly critical?: readonly string[];
  readonly onCritical?: () => void;
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
    isExcluded: excludes([]),
    manifest,
    onFolder: () => false,
    onGone: nothing,
    onSeen: nothing,
    onSkip: onError,
  };
  await visitPath(reader, "", { changes: changeList(0), deep: true });
  return manifest;
}

/** Resolves with all of the state read and watched. */
export async function captureTree(options: TreeOptions): Promise<Capture> {
  const { dir, roots, onError, nowMs, critical = [] } = options;
  const isExcluded = excludes(options.exclude ?? []);
  const leads = new Map<string, number>();
  const manifest = emptyManifest();
  const names = sameFiles(dir, manifest.entries);
  let dirty = new Set<string>();
  const skipped = new Set<string>();
  let unwatched: NodeJS.Timeout | undefined;
  let scrubbing: Promise<void> | undefined;

  const isNew = (path: string): boolean => !reader.manifest.entries.has(path);

  /** Once for each path and reason: a scrub meets it again and again. */
  function report(error: Error): void {
    if (skipped.has(error.message)) return;
    skipped.add(error.message);
    onError(error);
  }

  function scrub(): Promise<void> {
    const onDirty = (path: string) => void dirty.add(path);
    scrubbing ??= scrubTree({ dir, roots, isExcluded, leads, manifest: reader.manifest, onDirty }).finally(
      () => {
        scrubbing = undefined;
      },
    );
    return scrubbing;
  }

  const watches = openWatches({
    dir,
    markDir: join(options.workDir, "marks"),
    onChange(path) {
      dirty.add(path);
      if (isCritical(path, critical) || (isNew(path) && mayLeadToCritical(path, critical)))
        options.onCritical?.();
    },
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
    isExcluded,
    manifest,
    onFolder: (path) => watches.add(path),
    onGone(path) {
      watches.drop(path);
      leads.delete(path);
      names.gone(path);
    },
    onSeen: (path, stats) => noteSeen(path, stats, nowMs()),
    onSkip: report,
  };
  await visitPath(reader, "", { changes: changeList(0), deep: true });
  const timer = setInterval(() => scrub().catch(report), options.scrubMs ?? SCRUB_MS);

  function noteSeen(path: string, stats: Stats, readAtMs: number): void {
    names.saw(path, stats);
    const mark = markOf(stats, readAtMs);
    if (reader.manifest.entries.has(path)) reader.manifest.entries.setMark(path, mark);
    else leads.set(path, mark);
  }

  /** All that changed up to now. */
  async function dirtyPaths(): Promise<string[]> {
    const settled = await watches.settle();
    if (!settled || unwatched) await scrub();
    const batch = names.withOtherNames(dirty);
    dirty = new Set();
    return batch;
  }

  async function takeFrom(from: TreeReader, batch: readonly string[]): Promise<ChangeList> {
    const changes = changeList();
    const reading = { ...from, sources: await sourcesAmong(from, batch) };
    for (const path of batch) await visitPath(reading, path, { changes, deep: false });
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
      const onSeen = (path: string, stats: Stats) => noteSeen(path, view.statsOf(path) ?? stats, takenAtMs);
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

/** Undefined when nothing has appeared, or nothing that was there has changed. */
async function sourcesAmong(reader: TreeReader, batch: readonly string[]): Promise<Sources | undefined> {
  const { entries } = reader.manifest;
  const known = batch.filter((path) => entries.has(path));
  if (known.length === 0 || known.length === batch.length) return undefined;
  const gone: string[] = [];
  for (const path of known) {
    if (entries.get(path)!.entry.kind !== "folder") continue;
    const stats = await lstat(join(reader.dir, path)).catch(() => undefined);
    if (!stats?.isDirectory()) gone.push(`${path}/`);
  }
  const below = gone.length === 0 ? [] : pathsBelow(entries.keys(), gone);
  return sourcesOf(reader.manifest, [...known, ...below]);
}

function pathsBelow(paths: Iterable<string>, folders: readonly string[]): string[] {
  return [...paths].filter((path) => folders.some((folder) => path.startsWith(folder)));
}

/** Its change time, which nobody can set; the rest of what tells a change is in the entry. */
function markOf(stats: Stats, readAtMs: number): number {
  const isSettled = stats.isDirectory() || Math.max(stats.mtimeMs, stats.ctimeMs) < readAtMs - STAMP_MS;
  return isSettled ? stats.ctimeMs : UNSETTLED;
}

/** Looks at every path without reading contents, and names those that are not as they were read. */
async function scrubTree({
  dir,
  roots,
  isExcluded,
  leads,
  manifest,
  onDirty,
}: {
  dir: string;
  roots: readonly string[];
  isExcluded: Excludes;
  leads: ReadonlyMap<string, number>;
  manifest: Manifest;
  onDirty: (path: string) => void;
}): Promise<void> {
  const present = new Set<string>();
  const look = async (path: string): Promise<void> => {
    const isLead = path === "" || leadsToRoot(path, roots);
    if (!isLead && !isCovered(path, roots)) return;
    if (path !== "" && isExcluded(path)) return;
    const stats = await lstat(join(dir, path)).catch((error) => {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw error;
    });
    if (!stats) return;
    present.add(path);
    const held = manifest.entries.get(path);
    const mark = held ? manifest.entries.mark(path) : (leads.get(path) ?? 0);
    if (mark !== stats.ctimeMs || (held && !looksSame(held.entry, stats))) onDirty(path);
    if (!stats.isDirectory()) return;
    for (const name of await readdir(join(dir, path)).catch(() => [])) await look(joinPath(path, name));
  };
  await look("");
  for (const path of manifest.entries.keys()) if (!present.has(path)) onDirty(path);
}

function looksSame({ kind, mtimeMs, size }: Entry, stats: Stats): boolean {
  return kind !== "file" || (mtimeMs === stats.mtimeMs && size === stats.size);
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
    return parts.length === 1 ? parts[0]! : Buffer.concat(parts);
  } finally {
    await file.close();
  }
}
