/**
 * Checks what a primary sends before any of it is acknowledged: paths stay inside the state, blocks fit their entries, and
 * the whole adds up to the root hash it claims. The manifest follows along; a delta that fails or never ends is undone.
 */

import { HLC_DRIFT_MAX_MS } from "@understudy/model/hlc";
import type { Position } from "@understudy/model/position";
import { blockLength, hashesOf, indexesOf } from "./blocks.ts";
import type { Change } from "./change.ts";
import { MirrorError } from "./error.ts";
import type { Frame } from "./frames.ts";
import {
  blocksOf,
  type EntryKind,
  type Manifest,
  removePath,
  rollBack,
  rootOf,
  setBlocks,
  setEntry,
  type UndoLog,
} from "./manifest.ts";
import { isCovered, isInnerLink, isPlainPath, parentOf } from "./paths.ts";

type Copy = Extract<Change, { op: "copy" }>;

export type IntakeRules = {
  readonly roots: readonly string[];
  readonly accepts: (kind: EntryKind) => boolean;
};

/** One delta on its way in. */
export interface Intake {
  /** A copy is only checked: its hashes come with `copied`, once its source has been read. */
  add(change: Change): void;
  copied(change: Copy, hashes: Uint8Array): void;
  /** Throws MirrorError "mismatch" when the content is not what the position claims. */
  end(end: Extract<Frame, { type: "end" }>, nowMs: number): Position;
  readonly undo: UndoLog;
}

export function beginIntake(
  manifest: Manifest,
  { begin, rules }: { begin: Extract<Frame, { type: "begin" }>; rules: IntakeRules },
): Intake {
  const undo: UndoLog = [];
  /** Entries this delta has named: only their blocks may follow. */
  const named = new Set<string>();
  let count = 0;
  return {
    undo,
    add(change) {
      count += 1;
      checkPath(change.path, rules.roots);
      addChange(manifest, change, { rules, named, undo });
    },
    copied({ path, runs }, hashes) {
      setBlocks(manifest, path, { indexes: indexesOf(runs), hashes, undo });
    },
    end({ position, changes }, nowMs) {
      if (changes !== count) throw bad(`delta ends after ${count} of ${changes} changes`);
      if (position.epoch !== begin.epoch)
        throw bad(`delta of epoch ${begin.epoch} ends in ${position.epoch}`);
      const aheadMs = position.hlc.wallMs - nowMs;
      if (aheadMs > HLC_DRIFT_MAX_MS)
        throw new MirrorError("clock", `delta sealed ${aheadMs} ms in the future`);
      const root = rootOf(manifest);
      if (root !== position.root) {
        throw new MirrorError(
          "mismatch",
          `version ${position.version} adds up to ${root}, not ${position.root}`,
        );
      }
      return position;
    },
  };
}

export function abandonIntake(intake: Intake): void {
  rollBack(intake.undo);
}

function checkPath(path: string, roots: readonly string[]): void {
  if (!isPlainPath(path) || !isCovered(path, roots)) {
    throw new MirrorError("escape", `path "${path.slice(0, 200)}" is not in the mirrored state`);
  }
}

function addChange(
  manifest: Manifest,
  change: Change,
  { rules, named, undo }: { rules: IntakeRules; named: Set<string>; undo: UndoLog },
): void {
  switch (change.op) {
    case "remove":
      named.delete(change.path);
      removePath(manifest, change.path, undo);
      return;
    case "entry":
      checkEntry(manifest, change, rules);
      named.add(change.path);
      setEntry(manifest, change.path, { entry: change.entry, undo });
      return;
    case "blocks":
      if (!named.has(change.path)) throw bad(`blocks of ${change.path} without its entry`);
      setBlocks(manifest, change.path, { ...hashedBlocks(manifest, change), undo });
      return;
    case "copy":
      if (!named.has(change.path)) throw bad(`copy to ${change.path} without its entry`);
      checkCopy(manifest, change, rules);
      return;
  }
}

function checkEntry(
  manifest: Manifest,
  { path, entry }: Extract<Change, { op: "entry" }>,
  rules: IntakeRules,
): void {
  if (!rules.accepts(entry.kind)) throw bad(`${path}: a ${entry.kind} in a state of another kind`);
  const before = manifest.entries.get(path)?.entry.kind;
  if (before !== undefined && before !== entry.kind)
    throw bad(`${path} becomes a ${entry.kind} while it is a ${before}`);
  const parent = parentOf(path);
  if (
    isCovered(parent, rules.roots) &&
    parent !== "" &&
    manifest.entries.get(parent)?.entry.kind !== "folder"
  ) {
    throw new MirrorError("escape", `${path}: ${parent} is not a folder`);
  }
  if (entry.kind === "link" && !isInnerLink(path, entry.target)) {
    throw new MirrorError("escape", `link ${path} leads out of the state to "${entry.target.slice(0, 200)}"`);
  }
}

function checkCopy(manifest: Manifest, { path, from, runs }: Copy, rules: IntakeRules): void {
  const { entry } = manifest.entries.get(path)!;
  if (entry.kind !== "file") throw bad(`${path}: a copy into a ${entry.kind}`);
  if (from !== "") checkPath(from, rules.roots);
  const last = runs.at(-1)!;
  if (last.first + last.count > blocksOf(entry)) throw bad(`${path}: a copy beyond its end`);
}

function hashedBlocks(
  manifest: Manifest,
  { path, blockSize, indexes, data }: Extract<Change, { op: "blocks" }>,
): { indexes: readonly number[]; hashes: Uint8Array } {
  const { entry } = manifest.entries.get(path)!;
  if (blockSize !== entry.blockSize)
    throw bad(`${path}: blocks of ${blockSize}, the entry says ${entry.blockSize}`);
  const last = indexes.at(-1)!;
  if (last >= blocksOf(entry)) throw bad(`${path}: block ${last} beyond its end`);
  const whole = (indexes.length - 1) * blockSize + blockLength(last, entry.size, blockSize);
  if (data.length !== whole) throw bad(`${path}: ${data.length} bytes for blocks of ${whole}`);
  return { indexes, hashes: hashesOf(data, blockSize) };
}

function bad(reason: string): MirrorError {
  return new MirrorError("garbage", reason);
}
