/**
 * The trees of one state: which is current, which may be written, which are to go. Marks and pins are files, so that readers
 * in any language take part: a tree is marked before it is changed or removed, then pins are looked for; a reader pins, then
 * looks for the mark. One of the two sees the other.
 */

import { closeSync, openSync, rmSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MirrorError } from "../error.ts";
import { removeTree } from "../remove-tree.ts";
import { isPinned } from "../version-pin.ts";
import { isRested, nextTree } from "./next-tree.ts";
import { type Places, showTree, treesIn } from "./places.ts";
import { fillTree, type StepTree } from "./step.ts";

/** A tree that is further behind is made anew. */
const BEHIND_MAX = 20_000;

export type Tree = StepTree & { readonly number: number; leftAtMs: number };

export interface Shelf {
  readonly current: Tree;
  /** One that no reader is in, and none will come into before it is shown; the others are brought nearer to going. */
  free(): Promise<Tree>;
  /** Makes it the current one, which differs in these paths from all others. */
  show(tree: Tree, paths: ReadonlySet<string>): void;
  close(): void;
}

export async function openShelf({
  places,
  current: first,
  draft,
  bootMs,
  onError,
}: {
  places: Places;
  current: number;
  draft: () => string;
  bootMs: () => number;
  onError: (error: Error) => void;
}): Promise<Shelf> {
  const stop = new AbortController();
  const trees = new Set<Tree>();
  /** Not worth being brought up to date; removed once no reader can be in them. */
  const leaving = new Set<Pick<Tree, "number" | "leftAtMs">>();
  let current = add(first);
  let newest = first;
  let files = 0;
  // What an earlier life left in them is not known, but a reader may still be in them.
  for (const number of await treesIn(places)) {
    newest = Math.max(newest, number);
    if (number !== first) leaving.add({ number, leftAtMs: bootMs() });
  }
  // Should it have been killed between showing it and taking the mark away.
  rmSync(markOf(first), { force: true });

  function add(number: number): Tree {
    const at = join(places.trees, String(number));
    const tree: Tree = { number, at, behind: new Set(), folders: "all", leftAtMs: bootMs() };
    trees.add(tree);
    return tree;
  }

  function markOf(number: number): string {
    return join(places.doomed, String(number));
  }

  /** False when somebody reads it; then it stays as it is. */
  function doom(number: number): boolean {
    closeSync(openSync(markOf(number), "w"));
    if (!isPinned(places.pins, number)) return true;
    rmSync(markOf(number), { force: true });
    return false;
  }

  function dismiss(tree: Tree): void {
    trees.delete(tree);
    leaving.add(tree);
  }

  async function copyOfCurrent(): Promise<Tree> {
    newest += 1;
    await mkdir(join(places.trees, String(newest)));
    const tree = add(newest);
    doom(newest);
    try {
      files = await fillTree(tree, current.at);
    } catch (error) {
      dismiss(tree);
      throw error;
    }
    return tree;
  }

  async function collect(): Promise<void> {
    const nowMs = bootMs();
    for (const tree of [...leaving]) {
      if (!isRested(tree, nowMs) || !doom(tree.number)) continue;
      leaving.delete(tree);
      const gone = join(places.gone, String(tree.number));
      await rename(join(places.trees, String(tree.number)), gone);
      // After the tree: who finds no mark must not find the tree either.
      rmSync(markOf(tree.number), { force: true });
      removeTree(gone).catch(onError);
    }
  }

  return {
    get current() {
      return current;
    },
    async free() {
      await collect();
      const pinned = new Set<Tree>();
      while (!stop.signal.aborted) {
        const left = [...trees].filter((tree) => tree !== current);
        const next = nextTree(left, { nowMs: bootMs(), pinned, files });
        switch (next.do) {
          case "try":
            if (doom(next.tree.number)) return next.tree;
            pinned.add(next.tree);
            break;
          case "copy":
            return copyOfCurrent();
          case "wait":
            await sleep(next.ms, undefined, { signal: stop.signal }).catch(() => undefined);
            pinned.clear();
            break;
        }
      }
      throw new MirrorError("closed", "the shadow is closed");
    },
    show(tree, paths) {
      showTree(places, { number: tree.number, draft: draft() });
      rmSync(markOf(tree.number), { force: true });
      current.leftAtMs = bootMs();
      current = tree;
      for (const other of [...trees].filter((each) => each !== current)) {
        for (const path of paths) other.behind.add(path);
        if (other.behind.size > BEHIND_MAX) dismiss(other);
      }
    },
    close: () => stop.abort(),
  };
}
