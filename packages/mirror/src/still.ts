/**
 * Reads a state while its writer stands still: the writer is held, what changed is copied (by reference, where the file
 * system can: FICLONE), the writer goes on, and only then the copies are looked at. A copy counts only when the writer
 * stood still from before its beginning to after its end. With a budget, the next hold waits until the pauses so far are
 * no more than that share of the time.
 */

import {
  chmodSync,
  constants,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  type Stats,
  symlinkSync,
  utimesSync,
} from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pause } from "@understudy/model/pause";
import type { HoldSpec } from "@understudy/model/policy";
import { errnoOf, MirrorError } from "./error.ts";
import { freezeHow, type WriterProcess } from "./freeze.ts";
import { type Holder, openHolder, thawStale } from "./holder.ts";
import type { CallTarget } from "./hook.ts";
import { joinPath } from "./paths.ts";
import { removeTree } from "./remove-tree.ts";

const ANNOUNCE_MS_MAX = 100;
const NO_CLONES = new Set(["EOPNOTSUPP", "ENOTSUP", "EXDEV", "EINVAL", "ENOTTY", "ENOSYS"]);
const GONE = new Set(["ENOENT", "ENOTDIR"]);

/** Who writes to a state. */
export type Writer = {
  /** The process that leads its group; undefined while it does not run, and then nothing writes. */
  readonly process: () => WriterProcess | undefined;
  readonly target: () => CallTarget;
  /** Told before it is made to stand still, so that nobody takes it for dead. */
  readonly announce?: (silentMs: number, reason: string) => Promise<void>;
};

/** What was copied, and how each path looked in the state itself. */
export type View = { readonly dir: string; readonly statsOf: (path: string) => Stats | undefined };

export interface Still {
  /** The writer stands still until `take` or `drop`. */
  begin(): Promise<void>;
  /** Copies these paths, lets the writer go on, and throws when it had gone on before. */
  take(paths: readonly string[], isKnownFolder: (path: string) => boolean): Promise<View>;
  /** Lets the writer go on. */
  drop(): Promise<void>;
  /** Removes the copies. */
  done(): Promise<void>;
  readonly pauses: Pauses;
  close(): Promise<void>;
}

export type Pauses = {
  readonly count: number;
  readonly totalMs: number;
  readonly longestMs: number;
  readonly lastMs: number;
};

export async function openStill({
  dir,
  workDir,
  hold,
  writer,
  bootMs,
  onError,
}: {
  dir: string;
  workDir: string;
  hold: HoldSpec;
  writer: Writer;
  bootMs: () => number;
  onError: (error: Error) => void;
}): Promise<Still> {
  const record = heldRecord(workDir);
  const copies = join(workDir, "still");
  await thawStale(record);
  await removeTree(copies);
  const holder: Holder = openHolder(record, onError);
  const stop = new AbortController();
  let holding: "no" | "idle" | "held" = "no";
  let mayHoldAtMs = Number.NEGATIVE_INFINITY;
  let pauses: Pauses = { count: 0, totalMs: 0, longestMs: 0, lastMs: 0 };
  let views = 0;

  async function begin(): Promise<void> {
    while (bootMs() < mayHoldAtMs && !stop.signal.aborted)
      await pause(Math.max(1, mayHoldAtMs - bootMs()), stop.signal);
    if (stop.signal.aborted) throw new MirrorError("closed", "this primary end is closed");
    const order = orderOf(hold, writer);
    // Nothing runs that could write.
    holding = order ? "held" : "idle";
    if (!order) return;
    await announced(writer, hold);
    try {
      await holder.hold({ ...order, holdMs: hold.timeoutMs });
    } catch (error) {
      holding = "no";
      throw error;
    }
  }

  async function release(): Promise<boolean> {
    const was = holding;
    holding = "no";
    // Nobody wrote when it began: one that has been started since may have.
    if (was !== "held") return was === "idle" && orderOf(hold, writer) === undefined;
    const { whole, heldMs } = await holder.release();
    pauses = {
      count: pauses.count + 1,
      totalMs: pauses.totalMs + heldMs,
      longestMs: Math.max(pauses.longestMs, heldMs),
      lastMs: heldMs,
    };
    if (hold.kind === "freeze") mayHoldAtMs = bootMs() + heldMs / hold.budget - heldMs;
    return whole;
  }

  return {
    begin,
    async take(paths, isKnownFolder) {
      views += 1;
      const at = join(copies, String(views));
      const stats = new Map<string, Stats>();
      let failure: unknown;
      try {
        await mkdir(at, { recursive: true });
        for (const path of paths) await copyPath({ dir, at, path, stats, isKnownFolder });
        setFolderModes(at, stats);
      } catch (error) {
        failure = error;
      }
      const whole = await release();
      if (failure) throw failure;
      if (!whole)
        throw new MirrorError(
          "io",
          `the writer did not stand still for long enough (${hold.timeoutMs} ms at most)`,
        );
      return { dir: at, statsOf: (path) => stats.get(path) };
    },
    async drop() {
      if (holding !== "no") await release();
    },
    done: () => removeTree(join(copies, String(views))),
    get pauses() {
      return pauses;
    },
    async close() {
      stop.abort();
      await holder.close();
    },
  };
}

/** Where a writer that stands still is written down. */
export function heldRecord(workDir: string): string {
  return join(workDir, "held.json");
}

function orderOf(hold: HoldSpec, writer: Writer) {
  const running = writer.process();
  if (!running) return undefined;
  if (hold.kind === "freeze") {
    const frozen = freezeHow(running);
    return frozen && { held: { kind: "freeze" as const, frozen } };
  }
  const { quiesce, thaw, callMs } = hold;
  return { quiesce, held: { kind: "hook" as const, thaw, target: writer.target(), timeoutMs: callMs } };
}

/** Health that cannot be told must not keep the mirror from going on: a pause is shorter than what it takes for death. */
async function announced(writer: Writer, hold: HoldSpec): Promise<void> {
  const late = pause(ANNOUNCE_MS_MAX, new AbortController().signal);
  await Promise.race([writer.announce?.(hold.timeoutMs, hold.kind), late]).catch(() => undefined);
}

type Copy = {
  readonly dir: string;
  readonly at: string;
  readonly path: string;
  readonly stats: Map<string, Stats>;
  readonly isKnownFolder: (path: string) => boolean;
};

async function copyPath(copy: Copy): Promise<void> {
  const { dir, at, path, stats, isKnownFolder } = copy;
  if (stats.has(path)) return;
  const [source, target] = [join(dir, path), join(at, path)];
  const found = lstatIn(source);
  if (!found) return;
  stats.set(path, found);
  if (found.isDirectory()) {
    mkdirSync(target, { recursive: true });
    if (isKnownFolder(path)) return;
    for (const name of readdirSync(source)) await copyPath({ ...copy, path: joinPath(path, name) });
    return;
  }
  mkdirSync(dirname(target), { recursive: true });
  if (found.isSymbolicLink()) symlinkSync(readlinkSync(source), target);
  if (!found.isFile()) return;
  await cloneFile(source, target);
  utimesSync(target, found.atimeMs / 1000, found.mtimeMs / 1000);
}

/** Last: a folder may forbid writing into it. */
function setFolderModes(at: string, stats: ReadonlyMap<string, Stats>): void {
  for (const [path, found] of stats) if (found.isDirectory()) chmodSync(join(at, path), found.mode & 0o7777);
}

/** By reference, or where that cannot be done, by value. */
async function cloneFile(source: string, target: string): Promise<void> {
  try {
    copyFileSync(source, target, constants.COPYFILE_FICLONE_FORCE);
  } catch (error) {
    if (!NO_CLONES.has(errnoOf(error))) throw error;
    await copyFile(source, target);
  }
}

function lstatIn(path: string): Stats | undefined {
  try {
    return lstatSync(path);
  } catch (error) {
    if (GONE.has(errnoOf(error))) return undefined;
    throw error;
  }
}
