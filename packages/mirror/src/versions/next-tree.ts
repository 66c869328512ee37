/**
 * Decides in which tree the next version is made. A tree rests after it was left: readers that resolved the link and have
 * pinned nothing may still be in it. With enough trees there is always one that has rested, and no version waits.
 */

/** Unpinned readers may go on in a tree for so long after it was left. */
export const READER_GRACE_MS = 100;
/** With so many a version can be shown every 7 ms without waiting for any of them. */
export const TREES_MAX = 16;
/**
 * Names in all trees together (an unchanged file is one name more in each). What holds more makes do with fewer trees, and
 * waits: at the least there are two, and others only while those are pinned.
 */
export const NAMES_MAX = 80_000;
const PINNED_WAIT_MS = 5;

export type Left = { readonly leftAtMs: number };
export type NextTree<T> =
  /** Has rested: it may be taken if nobody has pinned it. */
  | { readonly do: "try"; readonly tree: T }
  | { readonly do: "copy" }
  | { readonly do: "wait"; readonly ms: number };

export function nextTree<T extends Left>(
  /** All but the current one. */
  left: readonly T[],
  {
    nowMs,
    pinned,
    files,
  }: {
    nowMs: number;
    /** Those that were tried in vain. */
    pinned: ReadonlySet<T>;
    files: number;
  },
): NextTree<T> {
  const rested = left.filter((tree) => isRested(tree, nowMs) && !pinned.has(tree));
  const longest = rested.sort((a, b) => a.leftAtMs - b.leftAtMs)[0];
  if (longest) return { do: "try", tree: longest };
  const unpinned = left.filter((tree) => !pinned.has(tree));
  const hasRoom = left.length + 1 < TREES_MAX;
  const isCheap = (left.length + 2) * files <= NAMES_MAX;
  if (hasRoom && (unpinned.length === 0 || isCheap)) return { do: "copy" };
  const restsMs = unpinned.map((tree) => tree.leftAtMs + READER_GRACE_MS - nowMs);
  return { do: "wait", ms: Math.min(PINNED_WAIT_MS, ...restsMs) };
}

export function isRested({ leftAtMs }: Left, nowMs: number): boolean {
  return nowMs - leftAtMs >= READER_GRACE_MS;
}
