/**
 * Brings a tree that nobody reads to the next version. It starts from an older one: what the current tree has, it gets by
 * hard links, and what the plan makes anew is written. The cost is that of the changes, and contents are written once.
 */

import { rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { Position } from "@understudy/model/position";
import type { Pins } from "../pins.ts";
import type { Plan } from "../plan.ts";
import { linkNew, relinkPath } from "../relink.ts";
import { pathsIn } from "../sync-paths.ts";
import type { ReadContents } from "../target.ts";
import { groupsOf, lstatIn, TURN_PATHS, writePlan } from "../tree-writer.ts";

/** Holds `EPOCH.VERSION`, for the application to answer. The name is ours in each mirrored folder of a shadow. */
export const VERSION_FILE = ".understudy-version";

export type StepTree = {
  readonly at: string;
  /** Paths in which it may differ from the current one. */
  readonly behind: Set<string>;
  /** Folders whose names were changed in it since it was last synced; "all" when it was made since. */
  folders: Set<string> | "all";
};

export type StepOptions = {
  /** The current tree. */
  readonly from: string;
  readonly plan: Plan;
  readonly read: ReadContents;
  readonly pins: Pins;
  readonly draft: () => string;
};

/** Should it fail half-way, the tree knows what is to be set right in it first. */
export async function stepTree(tree: StepTree, options: StepOptions): Promise<void> {
  const { from, plan, read, pins, draft } = options;
  // A folder that becomes a file is brought up first all the same: what is in it is on the list as well.
  const isWritten = (path: string) => {
    const kind = plan.paths.get(path)?.entry.kind;
    return (kind === "file" || kind === "link") && !lstatIn(join(from, path))?.isDirectory();
  };
  const links = [...tree.behind].filter((path) => !isWritten(path)).sort();
  for (const group of groupsOf(links, TURN_PATHS)) {
    for (const path of group) relink(tree, { from, path });
    await turn();
  }
  for (const path of links) tree.behind.delete(path);
  for (const path of pathsOf(plan)) {
    tree.behind.add(path);
    noteNames(tree, dirname(path));
    if (plan.paths.get(path)?.entry.kind === "folder") noteNames(tree, path);
  }
  await writePlan(plan, read, { dir: tree.at, base: from, isUnread: true, pins, draft });
  tree.behind.clear();
}

export function pathsOf(plan: Plan): Set<string> {
  return new Set([...plan.removes, ...plan.paths.keys()]);
}

/** Fills an empty tree; resolves with the number of its names. */
export async function fillTree(tree: StepTree, from: string): Promise<number> {
  let names = 0;
  for await (const path of pathsIn(from)) {
    linkNew({ from, to: tree.at }, path);
    names += 1;
    if (names % TURN_PATHS === 0) await turn();
  }
  return names;
}

export function markVersion(
  tree: StepTree,
  { roots, position: { epoch, version } }: { roots: readonly string[]; position: Position },
): void {
  for (const root of roots) {
    if (!lstatIn(join(tree.at, root))?.isDirectory()) continue;
    const at = join(tree.at, markerIn(root));
    // Other trees share the file that is there.
    rmSync(at, { force: true });
    writeFileSync(at, `${epoch}.${version}\n`);
    noteNames(tree, root);
  }
}

export function unmark(tree: StepTree, roots: readonly string[]): void {
  for (const root of roots)
    if (lstatIn(join(tree.at, root))?.isDirectory()) rmSync(join(tree.at, markerIn(root)), { force: true });
}

export function markerIn(root: string): string {
  return root === "." ? VERSION_FILE : `${root}/${VERSION_FILE}`;
}

function relink(tree: StepTree, { from, path }: { from: string; path: string }): void {
  const kind = relinkPath({ from, to: tree.at }, path);
  noteNames(tree, dirname(path));
  if (kind === "folder") noteNames(tree, path);
}

function noteNames(tree: StepTree, folder: string): void {
  if (tree.folders !== "all") tree.folders.add(folder);
}
