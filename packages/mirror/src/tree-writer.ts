/**
 * Writes a plan into a folder of files. A file is always made anew and never written where it is, so that whoever has it
 * open keeps what they have; nothing is ever written through a link. What is small is put together in memory and written by
 * a few synchronous calls: a dozen hops to the thread pool for each file would take longer than all of the work.
 */

import {
  chmodSync,
  closeSync,
  fchmodSync,
  fchownSync,
  ftruncateSync,
  futimesSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  renameSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  utimesSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate as turn } from "node:timers/promises";
import type { Contents } from "./change.ts";
import { composeFile, isSmall, writeUnlessZeroSync } from "./compose.ts";
import { placeMoved, writeDraft } from "./draft.ts";
import { errnoOf, MirrorError } from "./error.ts";
import type { Entry, EntryKind } from "./manifest.ts";
import { movablePins } from "./movable.ts";
import { parentOf } from "./paths.ts";
import type { Pins } from "./pins.ts";
import type { Plan, Planned } from "./plan.ts";
import type { ReadContents } from "./target.ts";

/** Paths after which others get their turn. */
export const TURN_PATHS = 32;

export type Place = {
  readonly dir: string;
  /** Where files are as they were before the plan: `dir` itself, or a tree beside it. */
  readonly base: string;
  /** Nobody reads `dir` now: a file need not appear in one step. */
  readonly isUnread: boolean;
  readonly pins: Pins;
  /** A free name on the same file system, outside the state. */
  readonly draft: () => string;
};

type Writing = Place & {
  readonly read: ReadContents;
  /** Folders, by absolute path, that are known to be real ones all the way. */
  readonly folders: Set<string>;
  readonly movable: (pin: string) => boolean;
};

export async function writePlan(plan: Plan, read: ReadContents, place: Place): Promise<void> {
  const folders = new Set([place.dir, place.base]);
  const writing: Writing = { ...place, read, folders, movable: movablePins(plan, place.pins) };
  for (const group of groupsOf(plan.removes, TURN_PATHS)) {
    for (const path of group) if (!plan.paths.has(path)) await removeAt(join(place.dir, path));
    await turn();
  }
  for (const group of groupsOf([...plan.paths], TURN_PATHS)) {
    const contents = await Promise.all(group.map(([, planned]) => smallContents(planned, read)));
    for (const [at, [path, planned]] of group.entries())
      await put(writing, path, { planned, contents: contents[at] });
  }
  // Last and from the leaves up: a folder may forbid writing into it.
  const folderEntries = [...plan.paths].filter(([, { entry }]) => entry.kind === "folder").reverse();
  for (const [path, { entry }] of folderEntries) finish(join(place.dir, path), entry);
}

export function* groupsOf<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let at = 0; at < items.length; at += size) yield items.slice(at, at + size);
}

/** Undefined when the file has to be written piece by piece. */
async function smallContents(planned: Planned, read: ReadContents): Promise<Contents[] | undefined> {
  if (planned.entry.kind !== "file" || !isSmall(planned)) return undefined;
  return Promise.all(planned.slots.map(read));
}

type Put = { readonly planned: Planned; readonly contents: readonly Contents[] | undefined };

async function put(writing: Writing, path: string, { planned, contents }: Put): Promise<void> {
  const at = join(writing.dir, path);
  makeParents(writing, path);
  const found = kindOf(lstatIn(at));
  const wanted = planned.entry.kind;
  const isOther = found !== undefined && found !== wanted;
  if (isOther && (found === "folder" || wanted === "folder")) await removeAt(at);
  switch (wanted) {
    case "folder":
      if (found !== "folder") mkdirSync(at);
      return;
    case "link":
      return putLink(writing, at, planned.entry);
    case "file":
      return putFile(writing, path, { planned, contents });
    case "database":
      throw new MirrorError("garbage", `${path}: a database in a state of files`);
  }
}

/** Every folder on the way is a real one: a link there would lead the write out of the state. */
function makeParents({ dir, folders }: Writing, path: string): void {
  const parent = parentOf(path);
  const at = join(dir, parent);
  if (parent === "" || folders.has(at)) return;
  makeParents({ dir, folders } as Writing, parent);
  const kind = kindOf(lstatIn(at));
  if (kind === undefined) mkdirSync(at);
  else if (kind !== "folder")
    throw new MirrorError("escape", `${parent} is a ${kind} on the way to a mirrored path`);
  folders.add(at);
}

function putLink(writing: Writing, at: string, entry: Entry): void {
  const draft = writing.draft();
  symlinkSync(entry.target, draft);
  own(draft, entry);
  moveTo(writing, draft, at);
}

async function putFile(writing: Writing, path: string, { planned, contents }: Put): Promise<void> {
  const { entry, slots } = planned;
  const at = join(writing.dir, path);
  const found = planned.fresh ? undefined : baseFile(writing, path);
  const isInPlace = writing.base === writing.dir && found?.size === entry.size && found.nlink === 1;
  if (isInPlace && slots.length === 0) return finish(at, entry);
  const base = found && join(writing.base, path);
  if (contents) return putSmall(writing, at, { entry, contents, base });
  const { read, pins, movable } = writing;
  const draft = writing.draft();
  const moved = planned.copies && slots.length === 1 ? await read(slots[0]!) : undefined;
  if (!(moved && (await placeMoved(pins, draft, { moved, entry, movable }))))
    await writeDraft(draft, { planned, read, base, pins });
  finish(draft, entry);
  moveTo(writing, draft, at);
}

function putSmall(
  writing: Writing,
  at: string,
  { entry, contents, base }: { entry: Entry; contents: readonly Contents[]; base: string | undefined },
): void {
  const whole = composeFile({ size: entry.size, contents, base });
  const draft = writing.isUnread ? at : writing.draft();
  if (writing.isUnread) unlinkIfThere(at);
  const file = openSync(draft, "wx", 0o600);
  try {
    writeUnlessZeroSync(file, whole);
    ftruncateSync(file, entry.size);
    if (process.geteuid?.() === 0) fchownSync(file, entry.uid, entry.gid);
    fchmodSync(file, entry.mode);
    futimesSync(file, entry.mtimeMs / 1000, entry.mtimeMs / 1000);
  } finally {
    closeSync(file);
  }
  if (!writing.isUnread) renameSync(draft, at);
}

/** A rename over a file makes ext4 write out the new one at once; where nobody reads it need not. */
function moveTo({ isUnread }: Place, draft: string, at: string): void {
  if (isUnread) unlinkIfThere(at);
  renameSync(draft, at);
}

/** The file as it was, unless a link leads to it. */
function baseFile({ base, folders }: Writing, path: string): Stats | undefined {
  const isThere = (folder: string): boolean => {
    const at = join(base, folder);
    if (folders.has(at)) return true;
    if (!isThere(parentOf(folder)) || !lstatIn(at)?.isDirectory()) return false;
    folders.add(at);
    return true;
  };
  const found = isThere(parentOf(path)) ? lstatIn(join(base, path)) : undefined;
  return found?.isFile() ? found : undefined;
}

/** Only a privileged process may give files away; the others mirror what is in them. */
export function own(at: string, { uid, gid }: Pick<Entry, "uid" | "gid">): void {
  if (process.geteuid?.() === 0) lchownSync(at, uid, gid);
}

function finish(at: string, entry: Entry): void {
  own(at, entry);
  chmodSync(at, entry.mode);
  if (entry.kind === "file") utimesSync(at, entry.mtimeMs / 1000, entry.mtimeMs / 1000);
}

async function removeAt(at: string): Promise<void> {
  const found = lstatIn(at);
  if (found?.isDirectory()) await rm(at, { recursive: true, force: true });
  else if (found) unlinkIfThere(at);
}

function unlinkIfThere(at: string): void {
  try {
    unlinkSync(at);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

export function kindOf(stats: Stats | undefined): EntryKind | "special" | undefined {
  if (!stats) return undefined;
  if (stats.isDirectory()) return "folder";
  if (stats.isSymbolicLink()) return "link";
  return stats.isFile() ? "file" : "special";
}

/** Undefined also below what is no folder, and where no path leads: what could not be made has not been. */
export function lstatIn(at: string): Stats | undefined {
  try {
    return lstatSync(at, { throwIfNoEntry: false });
  } catch (error) {
    if (["ENOTDIR", "ENAMETOOLONG"].includes(errnoOf(error))) return undefined;
    throw error;
  }
}
