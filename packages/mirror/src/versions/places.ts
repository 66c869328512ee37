/**
 * Where the versions of a state of files lie on disk, and how a plain state becomes one of versions and one of versions
 * a plain one again. A kill between any two steps is mended by the next opening.
 *
 *   DIR/ROOT -> WORK/versions/current/ROOT        one link for each mirrored path, made once
 *   WORK/versions/current -> trees/N              the link that a step replaces
 *   WORK/versions/{trees,pins,doomed,drafts,gone}
 */

import { renameSync, symlinkSync } from "node:fs";
import { lstat, mkdir, readdir, readlink, rename, rmdir, symlink, unlink } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { errnoOf, MirrorError } from "../error.ts";
import { isCovered } from "../paths.ts";
import { removeTree } from "../remove-tree.ts";

export type Places = {
  readonly home: string;
  readonly current: string;
  readonly trees: string;
  readonly pins: string;
  /** A mark for each tree that is going to change: nobody may pin it from then on. */
  readonly doomed: string;
  readonly drafts: string;
  readonly gone: string;
};

export function placesOf(workDir: string): Places {
  const home = join(workDir, "versions");
  const [current, trees, pins] = [join(home, "current"), join(home, "trees"), join(home, "pins")];
  return {
    home,
    current,
    trees,
    pins,
    doomed: join(home, "doomed"),
    drafts: join(home, "drafts"),
    gone: join(home, "gone"),
  };
}

/** Those that no other one contains. */
export function outermost(roots: readonly string[]): string[] {
  return [...new Set(roots)].filter((root, _, all) =>
    all.every((other) => other === root || !isCovered(root, [other])),
  );
}

/** The marks of an earlier life stay: a tree it was writing must not be pinned, whatever comes of it. */
export async function prepare({ home, trees, pins, doomed, drafts, gone }: Places): Promise<void> {
  for (const dead of await namesIn(dirname(home)))
    if (dead.startsWith("versions.old-")) await removeTree(join(dirname(home), dead));
  for (const scratch of [drafts, gone]) await removeTree(scratch);
  for (const folder of [trees, pins, doomed, drafts, gone]) await mkdir(folder, { recursive: true });
}

export async function treesIn({ trees }: Places): Promise<number[]> {
  return (await namesIn(trees)).map(Number);
}

/** Makes each mirrored path of the state a link into the current tree; resolves with its number. */
export async function adopt({
  dir,
  roots,
  places,
}: {
  dir: string;
  roots: readonly string[];
  places: Places;
}): Promise<number> {
  let number = await currentNumber(places);
  if (number === undefined) {
    number = 1 + Math.max(0, ...(await treesIn(places)));
    await mkdir(join(places.trees, String(number)));
    showTree(places, { number, draft: join(places.drafts, "current") });
  }
  for (const root of roots) {
    await adoptRoot({
      at: join(dir, root),
      link: join(places.current, root),
      inTree: join(places.trees, String(number), root),
    }).catch((error) => {
      const why = WHY[errnoOf(error)];
      if (why === undefined) throw error;
      throw new MirrorError("io", `${join(dir, root)} cannot be shown by versions: ${why}`, { cause: error });
    });
  }
  return number;
}

const WHY: Readonly<Record<string, string>> = {
  EXDEV: "the state and the mirror's own folder must be on one file system",
  EBUSY: "it is a mount point: mirror a folder within it",
};

/** What is there is moved into the tree. A kill between the move and the link is mended by the next call. */
async function adoptRoot({ at, link, inTree }: { at: string; link: string; inTree: string }): Promise<void> {
  const found = await lstatOf(at);
  const isOurs = found?.isSymbolicLink() && (await readlink(at)) === relative(dirname(at), link);
  if (isOurs) return;
  await mkdir(dirname(inTree), { recursive: true });
  await mkdir(dirname(at), { recursive: true });
  const isLeftover = found?.isDirectory() && (await lstatOf(inTree)) && (await namesIn(at)).length === 0;
  if (isLeftover) await rmdir(at);
  else if (found) {
    await removeTree(inTree);
    await rename(at, inTree);
  }
  await symlink(relative(dirname(at), link), at);
}

async function currentNumber({ current, trees }: Places): Promise<number | undefined> {
  const name = await readlink(current).catch(() => undefined);
  if (name === undefined) return undefined;
  const number = Number(name.split("/").at(-1));
  return (await lstatOf(join(trees, String(number)))) ? number : undefined;
}

/** In one step, for every reader. */
export function showTree({ current }: Places, { number, draft }: { number: number; draft: string }): void {
  symlinkSync(`trees/${number}`, draft);
  renameSync(draft, current);
}

/** The state as plain files and folders again. */
export async function putBackAll({
  dir,
  roots,
  tree,
}: {
  dir: string;
  roots: readonly string[];
  tree: string;
}): Promise<void> {
  for (const root of roots) await putBack({ at: join(dir, root), inTree: join(tree, root) });
}

async function putBack({ at, inTree }: { at: string; inTree: string }): Promise<void> {
  const found = await lstatOf(inTree);
  if (found && !found.isDirectory()) return rename(inTree, at);
  await unlink(at);
  if (found) await rename(inTree, at);
}

/** Out of the way at once; removed when nobody waits for it. */
export async function retire({ home }: Places): Promise<void> {
  const old = `${home}.old-${process.pid}-${process.hrtime.bigint()}`;
  await rename(home, old);
  removeTree(old).catch(() => undefined);
}

async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch(() => []);
}

async function lstatOf(path: string) {
  return lstat(path).catch((error) => {
    if (errnoOf(error) === "ENOENT" || errnoOf(error) === "ENOTDIR") return undefined;
    throw error;
  });
}
