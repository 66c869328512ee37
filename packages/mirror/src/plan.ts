/**
 * Folds deltas that follow each other into what has to be done to the state: the last word on each path, and where in
 * the journal its blocks are. Readers then go from the version they see to the newest in one step per path.
 */

import type { Slot } from "./journal.ts";
import type { Entry } from "./manifest.ts";

/** A change as it lies in the journal. */
export type Staged =
  | { readonly op: "entry"; readonly path: string; readonly entry: Entry }
  | { readonly op: "blocks" | "copy"; readonly path: string; readonly slot: Slot }
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

function withSlot(planned: Planned, { op, slot }: Extract<Staged, { op: "blocks" | "copy" }>): Planned {
  const slots = [...planned.slots, slot];
  return op === "copy" ? { ...planned, slots, copies: true } : { ...planned, slots };
}

export function foldChanges(changes: Iterable<Staged>): Plan {
  const removed = new Set<string>();
  const paths = new Map<string, Planned>();
  for (const change of changes) {
    const planned = paths.get(change.path);
    switch (change.op) {
      case "remove":
        paths.delete(change.path);
        removed.add(change.path);
        break;
      case "entry":
        paths.set(change.path, {
          entry: change.entry,
          fresh: planned?.fresh ?? removed.has(change.path),
          slots: planned?.slots ?? [],
          ...(planned?.copies && { copies: true }),
        });
        break;
      case "blocks":
      case "copy":
        // A delta names the entry before its contents; checked when it came in.
        if (planned) paths.set(change.path, withSlot(planned, change));
        break;
    }
  }
  return {
    removes: [...removed].sort().reverse(),
    paths: new Map([...paths].sort(([a], [b]) => (a < b ? -1 : 1))),
  };
}
