/**
 * Applies changes to files and folders in the place where they are read. A file that changes is written anew beside the
 * state and put in place by a rename, so that a reader sees one version of it.
 */

import { mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MirrorError } from "./error.ts";
import { parentOf } from "./paths.ts";
import type { Pins } from "./pins.ts";
import { pathsIn, syncPaths } from "./sync-paths.ts";
import type { Target } from "./target.ts";
import { scanTree } from "./tree.ts";
import { kindOf, lstatIn, type Place, writePlan } from "./tree-writer.ts";

export type TreeTargetOptions = {
  readonly dir: string;
  readonly roots: readonly string[];
  /** For drafts; on the same file system as `dir`. */
  readonly workDir: string;
  readonly pins: Pins;
  readonly onError: (error: Error) => void;
};

export async function treeTarget({ dir, roots, workDir, pins, onError }: TreeTargetOptions): Promise<Target> {
  const staging = join(workDir, "staging");
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  await mkdir(dir, { recursive: true });
  const unsynced = new Set<string>();
  /** An earlier life of ours may have applied what it had no time to sync. */
  let isKnown = false;
  const place: Place = { dir, base: dir, isUnread: false, pins, draft: draftsIn(staging) };

  return {
    accepts: (kind) => kind !== "database",
    scan: () => scanTree({ dir, roots, onError }),
    async apply(plan, read) {
      for (const path of [...plan.removes, ...plan.paths.keys()])
        for (const each of [path, dirname(path)]) unsynced.add(each);
      await writePlan(plan, read, place);
    },
    async flush() {
      if (!isKnown) for await (const path of pathsIn(dir)) unsynced.add(path);
      await syncPaths(dir, unsynced);
      isKnown = true;
      unsynced.clear();
    },
    pins,
    async pin(path) {
      checkSource(dir, path);
      return pins.pin(join(dir, path), { path, isSynced: isKnown && !unsynced.has(path) });
    },
    handOver: async () => undefined,
    close: () => undefined,
  };
}

/** Names for what is being made, one after the other. */
export function draftsIn(folder: string): () => string {
  let drafts = 0;
  return () => {
    drafts += 1;
    return join(folder, String(drafts));
  };
}

/** A file that a copy takes its contents from. The primary believes it is there: if not, we do not stand where it believes we do. */
export function checkSource(dir: string, path: string): void {
  const noSource = () => new MirrorError("mismatch", `a copy of ${path}, which is not a file here`);
  for (let folder = parentOf(path); folder !== ""; folder = parentOf(folder))
    if (kindOf(lstatIn(join(dir, folder))) !== "folder") throw noSource();
  if (kindOf(lstatIn(join(dir, path))) !== "file") throw noSource();
}
