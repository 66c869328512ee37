/**
 * Folds deltas that follow each other into what has to be done to the state: the last word on each path, and where in
 * the journal its blocks are. Readers then go from the version they see to the newest in one step per path.
 */

import type { Slot } from "./journal.ts";
import type { Entry } from "./manifest.ts";

/** A change as it lies in the journal. */
export type Staged =
  | { readonly op: "entry"; readonly path: string; readonly entry: Entry }
  | {
      readonly op: "blocks" | "copy";
      readonly path: string;
      readonly slot: Slot;
      /** The same for the same blocks: the later of two replaces the earlier. Left out where there are too many. */
      readonly blocks?: string;
    }
  | { readonly op: "remove"; readonly path: string };

export type Planned = {
  readonly entry: Entry;
  /** Nothing of what is at the path now is kept. */
  readonly fresh: boolean;
  /** In the order they came: a later block replaces an earlier one. */
  readonly slots: readonly Slot[];
  /** Some of them are copies, which may well be all that is to come. */
  readonly copies?: true;
};

export type Plan = {
  /** From the leaves up. */
  readonly removes: readonly string[];
  /** From the top down. */
  readonly paths: ReadonlyMap<string, Planned>;
};

type Folding = Omit<Planned, "slots" | "copies"> & {
  /** By the blocks they give, or by where they lie. */
  readonly slots: Map<string | number, Slot>;
  readonly copies: boolean;
};

/** A file that is written again and again costs what it is, not what was written to it. */
function addSlot(
  { slots, ...rest }: Folding,
  { op, slot, blocks }: Extract<Staged, { op: "blocks" | "copy" }>,
): Folding {
  const key = blocks ?? slot.offset;
  // Out of its place, so that it comes after what came since.
  slots.delete(key);
  slots.set(key, slot);
  return { ...rest, slots, copies: rest.copies || op === "copy" };
}

export function foldChanges(changes: Iterable<Staged>): Plan {
  const removed = new Set<string>();
  const paths = new Map<string, Folding>();
  for (const change of changes) {
    const folding = paths.get(change.path);
    switch (change.op) {
      case "remove":
        paths.delete(change.path);
        removed.add(change.path);
        break;
      case "entry":
        paths.set(change.path, {
          entry: change.entry,
          fresh: folding?.fresh ?? removed.has(change.path),
          slots: folding?.slots ?? new Map(),
          copies: folding?.copies ?? false,
        });
        break;
      case "blocks":
      case "copy":
        // A delta names the entry before its contents; checked when it came in.
        if (folding) paths.set(change.path, addSlot(folding, change));
        break;
    }
  }
  return {
    removes: [...removed].sort().reverse(),
    paths: new Map(
      [...paths].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, each]) => [path, planned(each)]),
    ),
  };
}

function planned({ entry, fresh, slots, copies }: Folding): Planned {
  return { entry, fresh, slots: [...slots.values()], ...(copies && { copies: true as const }) };
}
