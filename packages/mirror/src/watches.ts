/**
 * One kernel watch per folder: the cheapest way to hear of changes (a recursive watch loses events and memory). The kernel
 * delivers the events of one process in order, so a file touched in a folder of our own marks the moment up to which all
 * have arrived. When the mark does not come, the kernel's queue has overflown, and only a scrub finds what was lost.
 */

import { type FSWatcher, lstatSync, mkdirSync, utimesSync, watch, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "./error.ts";
import { joinPath } from "./paths.ts";

const MARK_MS_MAX = 100;

export interface Watches {
  /** Starts watching a folder unless it is watched already. True when another was watched at this path before: that one is gone. */
  add(path: string): boolean;
  /** Lets go of a folder and of all below it. */
  drop(path: string): void;
  /** True when every event up to now has been delivered, false when some may be lost. */
  settle(): Promise<boolean>;
  close(): void;
}

export type WatchOptions = {
  readonly dir: string;
  /** An empty folder outside `dir` for the marks. */
  readonly markDir: string;
  readonly onChange: (path: string) => void;
  /** A folder that cannot be watched, say because the user's limit of watches is reached. */
  readonly onUnwatched: (path: string, cause: Error) => void;
};

type Watched = { readonly watcher: FSWatcher; readonly identity: string };

/** Of the folder that is there now: a file system gives the number of a removed one to the next. Throws ENOENT. */
function identityOf(at: string): string {
  const { dev, ino, birthtimeNs } = lstatSync(at, { bigint: true });
  return `${dev} ${ino} ${birthtimeNs}`;
}

export function openWatches({ dir, markDir, onChange, onUnwatched }: WatchOptions): Watches {
  const watched = new Map<string, Watched>();
  const marks = openMarks(markDir);

  function drop(path: string): void {
    for (const [other, { watcher }] of watched) {
      if (other !== path && !other.startsWith(`${path}/`)) continue;
      watcher.close();
      watched.delete(other);
    }
  }

  return {
    add(path) {
      const at = join(dir, path);
      try {
        const identity = identityOf(at);
        const before = watched.get(path);
        if (before?.identity === identity) return false;
        drop(path);
        const watcher = watch(at, (_, name) => onChange(name === null ? path : joinPath(path, name)));
        watcher.on("error", () => drop(path));
        watched.set(path, { watcher, identity });
        return before !== undefined;
      } catch (error) {
        if (errnoOf(error) !== "ENOENT") onUnwatched(path, error as Error);
        return false;
      }
    },
    drop(path) {
      if (watched.has(path)) drop(path);
    },
    settle: () => marks.settle(),
    close() {
      for (const { watcher } of watched.values()) watcher.close();
      watched.clear();
      marks.close();
    },
  };
}

function openMarks(markDir: string): { settle(): Promise<boolean>; close(): void } {
  mkdirSync(markDir, { recursive: true });
  // Two in turn: a mark that came too late for its own wait must not end the next one.
  const files = ["mark-0", "mark-1"];
  for (const file of files) writeFileSync(join(markDir, file), "");
  let number = 0;
  let onMark: (name: string) => void = () => undefined;
  const watcher = watch(markDir, (_, name) => onMark(name ?? ""));
  return {
    settle() {
      number += 1;
      const mark = files[number % 2]!;
      return new Promise((resolve) => {
        const timer = setTimeout(resolve, MARK_MS_MAX, false);
        onMark = (name) => {
          if (name !== mark) return;
          clearTimeout(timer);
          resolve(true);
        };
        // A touch needs no space on a full disk.
        utimesSync(join(markDir, mark), number, number);
      });
    },
    close: () => watcher.close(),
  };
}
