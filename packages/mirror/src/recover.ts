/**
 * Opens what a shadow end left on disk, however it ended. The state itself says where it stands: its root hash is that of
 * one version on the way from the bookmark through the journal, and the rest of the journal is applied in one step. When it
 * is none of them, a multi-file change was cut short and the whole journal is applied again. If that does not lead to the
 * newest version either, somebody else wrote to the state: it then counts for nothing until a catch-up.
 */

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { POSITION_ZERO, type Position } from "@understudy/model/position";
import { type BookmarkFile, openBookmark } from "./bookmark.ts";
import type { Base, Change, Contents } from "./change.ts";
import { baseOf, sameBase } from "./delta.ts";
import { MirrorError } from "./error.ts";
import { decodeFrame } from "./frames.ts";
import { type Journal, openJournal, type Slot } from "./journal.ts";
import { type Manifest, rootOf } from "./manifest.ts";
import { foldChanges, type Staged } from "./plan.ts";
import type { Target } from "./target.ts";

/** What is written over most often is small. */
const KEYED_BLOCKS_MAX = 16;

export type Recovered = {
  readonly bookmark: BookmarkFile;
  readonly journal: Journal;
  readonly manifest: Manifest;
  /** Version 0 with the actual root when the state is at no version we know. */
  readonly position: Position;
};

type JournalledDelta = {
  readonly base: Base;
  readonly position: Position;
  readonly changes: readonly Staged[];
};

export async function recoverShadow(target: Target, workDir: string): Promise<Recovered> {
  await mkdir(workDir, { recursive: true });
  const bookmark = openBookmark(join(workDir, "bookmark"));
  const collector = collectDeltas(bookmark.current.position);
  const journal = await openJournal(join(workDir, "journal"), collector.add);
  // After a release the state belongs to others: what is left in the journal is older than what they wrote.
  const counts = bookmark.current.role === "shadow";
  const chain = counts ? collector.chain : [];
  const found = await redo(target, { chain, from: bookmark.current.position, journal });
  await target.flush();
  bookmark.write({ role: "shadow", position: found.position, epochSeen: bookmark.current.epochSeen });
  await bookmark.sync();
  await journal.rewind();
  await target.pins?.clear();
  return { bookmark, journal, ...found };
}

async function redo(
  target: Target,
  { chain, from, journal }: { chain: readonly JournalledDelta[]; from: Position; journal: Journal },
): Promise<{ manifest: Manifest; position: Position }> {
  const newest = chain.at(-1)?.position ?? from;
  const before = await target.scan();
  const root = rootOf(before);
  if (root === newest.root) return { manifest: before, position: newest };
  const at = [from, ...chain.map((delta) => delta.position)].findLastIndex(
    (position) => position.root === root,
  );
  const rest = chain.slice(Math.max(0, at)).flatMap((delta) => delta.changes);
  if (rest.length === 0) return { manifest: before, position: { ...POSITION_ZERO, root } };
  await target.apply(foldChanges(rest), (slot) => readContentsAt(journal, slot));
  const after = await target.scan();
  const isNewest = rootOf(after) === newest.root;
  return { manifest: after, position: isNewest ? newest : { ...POSITION_ZERO, root: rootOf(after) } };
}

/** The contents of a change frame in the journal. */
export async function readContentsAt(journal: Journal, slot: Slot): Promise<Contents> {
  const frame = decodeFrame(await journal.read(slot));
  const change = frame.type === "change" ? frame.change : undefined;
  if (change?.op === "blocks" || change?.op === "copy") return change;
  throw new MirrorError("io", "the journal does not hold the blocks it held");
}

export function stagedOf(change: Change, slot: Slot): Staged {
  switch (change.op) {
    case "blocks": {
      const { path, indexes } = change;
      const isKeyed = indexes.length <= KEYED_BLOCKS_MAX;
      return { op: "blocks", path, slot, ...(isKeyed && { blocks: indexes.join() }) };
    }
    case "copy":
      // Zeros are contents like any other: they need no pin, and most often leave most of a file as it is.
      return { op: change.from === "" ? "blocks" : "copy", path: change.path, slot };
    case "entry":
    case "remove":
      return change;
  }
}

/** Puts the entries of a journal together to the deltas that were accepted, in order. */
export function collectDeltas(start: Position): {
  readonly chain: readonly JournalledDelta[];
  add(payload: Uint8Array, slot: Slot): void;
} {
  let chain: JournalledDelta[] = [];
  let base: Base | undefined;
  let changes: Staged[] = [];
  return {
    get chain() {
      return chain;
    },
    add(payload, slot) {
      const frame = decodeFrame(payload);
      if (frame.type === "begin") [base, changes] = [frame.base, []];
      if (frame.type === "change") changes.push(stagedOf(frame.change, slot));
      if (frame.type !== "end" || !base) return;
      // A delta that was written but never acknowledged may have been replaced by another on the same base.
      const keep = chain.findLastIndex((delta) => sameBase(baseOf(delta.position), base!)) + 1;
      const follows = keep > 0 || sameBase(baseOf(start), base);
      if (follows) chain = [...chain.slice(0, keep), { base, position: frame.position, changes }];
      base = undefined;
    },
  };
}
