/**
 * Which paths are names of one file (hard links). The kernel reports a write under the name it was made by, and only the
 * folder of that name hears of it; whoever looks at one name has to look at the others too.
 */

import { lstatSync, type Stats } from "node:fs";
import { join } from "node:path";
import type { Manifest } from "./manifest.ts";

export interface SameFiles {
  /** How a path was found. */
  saw(path: string, stats: Stats): void;
  gone(path: string): void;
  /** These and all other names of their files, sorted. */
  withOtherNames(paths: ReadonlySet<string>): string[];
}

type Names = { readonly key: string; readonly paths: Set<string> };

export function sameFiles(dir: string, entries: Manifest["entries"]): SameFiles {
  const byFile = new Map<string, Names>();
  const byPath = new Map<string, Names>();

  function gone(path: string): void {
    const names = byPath.get(path);
    if (!names) return;
    byPath.delete(path);
    names.paths.delete(path);
    if (names.paths.size === 0) byFile.delete(names.key);
  }

  /** Files had one name when they were seen: a look at all that are as long and as old finds them, once for all of these. */
  function* firstNames(linked: readonly Stats[]): Generator<string> {
    if (linked.length === 0) return;
    const keys = new Set(linked.map(keyOf));
    const looks = new Set(linked.map(lookOf));
    for (const [path, { entry }] of entries) {
      if (entry.kind !== "file" || !looks.has(lookOf(entry))) continue;
      const stats = statsAt(join(dir, path));
      if (stats && keys.has(keyOf(stats))) yield path;
    }
  }

  return {
    saw(path, stats) {
      gone(path);
      if (!stats.isFile() || stats.nlink < 2) return;
      const key = keyOf(stats);
      const names = byFile.get(key) ?? { key, paths: new Set<string>() };
      names.paths.add(path);
      byFile.set(key, names);
      byPath.set(path, names);
    },
    gone,
    withOtherNames(paths) {
      const all = new Set(paths);
      const unknown: Stats[] = [];
      for (const path of paths) {
        const stats = statsAt(join(dir, path));
        if (!stats?.isFile() || stats.nlink < 2) continue;
        const names = byFile.get(keyOf(stats));
        if (!names) unknown.push(stats);
        for (const other of names?.paths ?? []) all.add(other);
      }
      for (const other of firstNames(unknown)) all.add(other);
      return [...all].sort();
    },
  };
}

function keyOf({ dev, ino }: Stats): string {
  return `${dev}:${ino}`;
}

function lookOf({ size, mtimeMs }: { readonly size: number; readonly mtimeMs: number }): string {
  return `${size}:${mtimeMs}`;
}

/** A path that cannot be looked at is reported by whoever reads it. */
function statsAt(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch {
    return undefined;
  }
}
