/**
 * Shows readers of files and folders one whole version or the next, across all files. The state is kept in a few trees
 * beside each other (left-right: Ramalhete & Correia, "Left-Right: A Concurrency Control Technique with Wait-Free
 * Population Oblivious Reads", 2015). One of them is current; a link names it (versions/places.ts). A step is made in a tree
 * that nobody reads (versions/shelf.ts, versions/step.ts), then the link is put in place by one rename. A file is never
 * written once its tree was shown, so trees share it, and whoever has it open keeps what they have.
 */

import { dirname, join } from "node:path";
import { removePath } from "./manifest.ts";
import { openPins } from "./pins.ts";
import { pathsIn, syncPath, syncPaths } from "./sync-paths.ts";
import type { Target } from "./target.ts";
import { checkSource, draftsIn, type TreeTargetOptions } from "./target-tree.ts";
import { scanTree } from "./tree.ts";
import { adopt, outermost, placesOf, prepare, putBackAll, retire } from "./versions/places.ts";
import { openShelf } from "./versions/shelf.ts";
import { markerIn, markVersion, pathsOf, type StepTree, stepTree, unmark } from "./versions/step.ts";

export type VersionsOptions = Omit<TreeTargetOptions, "pins"> & {
  /** Monotonic. */
  readonly bootMs: () => number;
};

export async function versionedTarget(options: VersionsOptions): Promise<Target> {
  const { dir, workDir, onError, bootMs } = options;
  const roots = outermost(options.roots);
  const places = placesOf(workDir);
  await prepare(places);
  const number = await adopt({ dir, roots, places });
  const pins = await openPins(join(workDir, "pins"));
  const draft = draftsIn(places.drafts);
  const shelf = await openShelf({ places, current: number, draft, bootMs, onError });
  /** Files whose contents may not be on disk: all of them until the first flush of this life. */
  let unsynced: Set<string> | "all" = "all";

  async function unsyncedIn({ at, folders }: StepTree): Promise<Set<string>> {
    const paths = new Set<string>(["."]);
    if (unsynced === "all" || folders === "all") for await (const path of pathsIn(at)) paths.add(path);
    // In this tree every folder on the way may be new.
    for (const path of [...(unsynced === "all" ? [] : unsynced), ...(folders === "all" ? [] : folders)])
      for (let each = path; each !== "." && !paths.has(each); each = dirname(each)) paths.add(each);
    return paths;
  }

  return {
    accepts: (kind) => kind !== "database",
    async scan() {
      const manifest = await scanTree({ dir: shelf.current.at, roots, onError });
      for (const root of roots) removePath(manifest, markerIn(root));
      return manifest;
    },
    async apply(plan, read, position) {
      const tree = await shelf.free();
      const paths = pathsOf(plan);
      if (unsynced !== "all") for (const path of paths) unsynced.add(path);
      await stepTree(tree, { from: shelf.current.at, plan, read, pins, draft });
      if (position) markVersion(tree, { roots, position });
      shelf.show(tree, paths);
    },
    async flush() {
      const { current } = shelf;
      await syncPaths(current.at, await unsyncedIn(current));
      for (const folder of [places.trees, places.home]) await syncPath(folder);
      unsynced = new Set();
      current.folders = new Set();
    },
    pins,
    async pin(path) {
      checkSource(shelf.current.at, path);
      const isSynced = unsynced !== "all" && !unsynced.has(path);
      return pins.pin(join(shelf.current.at, path), { path, isSynced });
    },
    async handOver() {
      const tree = shelf.current.at;
      unmark(shelf.current, roots);
      await putBackAll({ dir, roots, tree });
      await syncPath(dirname(dir));
      await retire(places);
    },
    close: shelf.close,
  };
}
