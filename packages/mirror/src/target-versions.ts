/**
 * Shows readers of files and folders one whole version or the next, across all files. The state is kept in a few trees
 * beside each other (left-right: Ramalhete & Correia, "Left-Right: A Concurrency Control Technique with Wait-Free
 * Population Oblivious Reads", 2015). One of them is current; a link names it. A step is made in a tree that nobody reads,
 * then the link is put in place by one rename. A tree that was left is brought up to date when it is used again, by hard
 * links to what the current one has: the cost is that of the changes, and contents are written once.
 *
 *   DIR/ROOT -> WORK/versions/current/ROOT        one link for each mirrored path, made once
 *   WORK/versions/current -> trees/N              the link that a step replaces
 *   WORK/versions/{trees,pins,doomed,drafts,gone}
 *
 * A file is never written once it is in a tree, so trees may share it. A tree is left alone while a reader has it pinned
 * (version-pin.ts), and for a moment after it was left, for readers that resolved the link and have not pinned anything.
 */

import {
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  rm,
  rmdir,
  symlink,
  unlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Position } from "@understudy/model/position";
import { errnoOf, MirrorError } from "./error.ts";
import { removePath } from "./manifest.ts";
import { isCovered } from "./paths.ts";
import { openPins } from "./pins.ts";
import { relinkPath } from "./relink.ts";
import { removeTree } from "./remove-tree.ts";
import type { Target } from "./target.ts";
import { pathsIn, syncPath, type TreeTargetOptions, treeTarget } from "./target-tree.ts";
import { pinsOf } from "./version-pin.ts";

/** Unpinned readers may go on in a tree for so long after it was left. */
export const READER_GRACE_MS = 100;
const TREES_MAX = 8;
/** A third and further tree is made so that nothing waits for the grace; a state of more files waits instead. */
const SPARE_FILES_MAX = 5_000;
/** A tree that is further behind is made anew. */
const BEHIND_MAX = 20_000;
const WAIT_MS = 5;

type Tree = {
  readonly number: number;
  readonly at: string;
  readonly inner: Target;
  /** Paths in which it may differ from the current one. */
  readonly behind: Set<string>;
  /** Paths that were changed in it since it was last synced; "all" when it was made since. */
  unsynced: Set<string> | "all";
  leftAtMs: number;
};

export type VersionsOptions = Omit<TreeTargetOptions, "pins"> & {
  /** Monotonic. */
  readonly bootMs: () => number;
};

export async function versionedTarget(options: VersionsOptions): Promise<Target> {
  const { dir, workDir, onError, bootMs } = options;
  const roots = outermost(options.roots);
  const places = placesOf(workDir);
  const stop = new AbortController();
  await prepare(places);
  let newest = await adopt({ dir, roots, places });
  await removeOthers(places, newest);
  const contentPins = await openPins(join(workDir, "pins"));
  const trees = new Set<Tree>();
  /** Not worth being brought up to date; removed once no reader can be in them. */
  const leaving = new Set<Tree>();
  let current = await openTree(newest);
  let files = 0;
  let drafts = 0;

  async function openTree(number: number): Promise<Tree> {
    const at = join(places.trees, String(number));
    const workDir = join(places.drafts, `tree-${number}`);
    const inner = await treeTarget({ dir: at, roots, workDir, pins: contentPins, onError });
    const tree: Tree = { number, at, inner, behind: new Set(), unsynced: "all", leftAtMs: 0 };
    trees.add(tree);
    return tree;
  }

  function relink(tree: Tree, path: string): void {
    drafts += 1;
    relinkPath({ from: current.at, to: tree.at, path, draft: join(places.drafts, `link-${drafts}`) });
    if (tree.unsynced !== "all") tree.unsynced.add(path);
  }

  const isRested = (tree: Tree) => bootMs() - tree.leftAtMs >= READER_GRACE_MS;

  /** A tree that no reader is in any more, and none will come into before it is current. */
  async function freeTree(): Promise<Tree> {
    for (;;) {
      if (stop.signal.aborted) throw new MirrorError("closed", "the shadow is closed");
      const left = [...trees].filter((tree) => tree !== current);
      const rested = left.filter(isRested).sort((a, b) => a.leftAtMs - b.leftAtMs);
      for (const tree of rested) if (await doom(tree)) return tree;
      const wants = left.length === 0 || rested.length > 0 || files <= SPARE_FILES_MAX;
      if (wants && trees.size < TREES_MAX) return copyOfCurrent();
      await sleep(WAIT_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  }

  /** Says that it will change, then looks for pins: a reader pins, then looks for this. One of the two sees the other. */
  async function doom({ number }: Tree): Promise<boolean> {
    const mark = join(places.doomed, String(number));
    await (await open(mark, "w")).close();
    if (!(await pinsOf(places.pins, number))) return true;
    await rm(mark, { force: true });
    return false;
  }

  async function copyOfCurrent(): Promise<Tree> {
    newest += 1;
    await mkdir(join(places.trees, String(newest)));
    const tree = await openTree(newest);
    files = 0;
    try {
      for await (const path of pathsIn(current.at)) {
        relink(tree, path);
        files += 1;
      }
    } catch (error) {
      dismiss(tree);
      throw error;
    }
    await doom(tree);
    return tree;
  }

  function dismiss(tree: Tree): void {
    trees.delete(tree);
    leaving.add(tree);
  }

  async function collect(): Promise<void> {
    for (const tree of leaving) {
      if (!isRested(tree) || !(await doom(tree))) continue;
      leaving.delete(tree);
      const gone = join(places.gone, String(tree.number));
      await rename(tree.at, gone);
      removeTree(gone).catch(onError);
    }
  }

  async function show(tree: Tree): Promise<void> {
    await replaceLink(places, tree.number);
    await rm(join(places.doomed, String(tree.number)), { force: true });
    current.leftAtMs = bootMs();
    current = tree;
  }

  /** For the application to answer, where it is asked which version it shows. */
  async function mark(tree: Tree, { epoch, version }: Position): Promise<void> {
    for (const root of roots) {
      if (!(await isFolder(tree.at, root))) continue;
      const draft = join(places.drafts, VERSION_FILE);
      await writeFile(draft, `${epoch}.${version}\n`);
      await rename(draft, join(tree.at, markerIn(root)));
    }
  }

  function noteChanged(paths: readonly string[]): void {
    for (const tree of trees) {
      if (tree === current) continue;
      for (const path of paths) tree.behind.add(path);
      if (tree.behind.size > BEHIND_MAX) dismiss(tree);
    }
  }

  return {
    accepts: (kind) => kind !== "database",
    async scan() {
      const manifest = await current.inner.scan();
      for (const root of roots) removePath(manifest, markerIn(root));
      return manifest;
    },
    async apply(plan, read, position) {
      const paths = [...new Set([...plan.removes, ...plan.paths.keys()])];
      await collect();
      const tree = await freeTree();
      for (const path of [...tree.behind].sort()) relink(tree, path);
      tree.behind.clear();
      // Should it fail half-way, these are what the next attempt has to set right first.
      for (const path of paths) tree.behind.add(path);
      await tree.inner.apply(plan, read);
      tree.behind.clear();
      if (tree.unsynced !== "all") for (const path of paths) tree.unsynced.add(path);
      if (position) await mark(tree, position);
      await show(tree);
      noteChanged(paths);
    },
    async flush() {
      const paths = current.unsynced === "all" ? await allPaths(current.at) : current.unsynced;
      await syncPaths(current.at, paths);
      for (const folder of [current.at, places.trees, places.home]) await syncPath(folder);
      current.unsynced = new Set();
      current.inner.forget();
    },
    pins: contentPins,
    pin(path) {
      // A path that was linked from another tree may hold what was not synced there.
      const isSynced = current.unsynced !== "all" && !current.unsynced.has(path);
      return current.inner.pin!(path, { isSynced });
    },
    forget: () => undefined,
    async handOver() {
      for (const root of roots)
        if (await isFolder(current.at, root)) await rm(join(current.at, markerIn(root)), { force: true });
      for (const root of roots) await putBack({ dir, root, tree: current.at });
      await syncPath(dirname(dir));
      await retire(places);
    },
    close: () => stop.abort(),
  };
}

/** The name is ours in each mirrored folder of a shadow. */
export const VERSION_FILE = ".understudy-version";

function markerIn(root: string): string {
  return root === "." ? VERSION_FILE : `${root}/${VERSION_FILE}`;
}

type Places = {
  readonly home: string;
  readonly current: string;
  readonly trees: string;
  readonly pins: string;
  readonly doomed: string;
  readonly drafts: string;
  readonly gone: string;
};

function placesOf(workDir: string): Places {
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
function outermost(roots: readonly string[]): string[] {
  return [...new Set(roots)].filter((root, _, all) =>
    all.every((other) => other === root || !isCovered(root, [other])),
  );
}

async function prepare({ home, trees, pins, doomed, drafts, gone }: Places): Promise<void> {
  for (const dead of await namesIn(dirname(home)))
    if (dead.startsWith("versions.old-")) await removeTree(join(dirname(home), dead));
  for (const scratch of [doomed, drafts, gone]) await removeTree(scratch);
  for (const folder of [trees, pins, doomed, drafts, gone]) await mkdir(folder, { recursive: true });
}

/** Makes each mirrored path of the state a link into the current tree; resolves with its number. */
async function adopt({
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
    number = 1 + Math.max(0, ...(await namesIn(places.trees)).map(Number));
    await mkdir(join(places.trees, String(number)));
    await replaceLink(places, number);
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

async function replaceLink({ current, drafts }: Places, number: number): Promise<void> {
  const draft = join(drafts, "current");
  await rm(draft, { force: true });
  await symlink(`trees/${number}`, draft);
  await rename(draft, current);
}

/** What an earlier life left in them is not known. One that a reader is still in is left for the next opening. */
async function removeOthers({ trees, pins, gone }: Places, current: number): Promise<void> {
  for (const name of await namesIn(trees)) {
    if (Number(name) === current || (await pinsOf(pins, Number(name)))) continue;
    await rename(join(trees, name), join(gone, name));
    await removeTree(join(gone, name));
  }
}

/** The state as a plain file or folder again. A kill between the two steps is mended by `adopt`. */
async function putBack({ dir, root, tree }: { dir: string; root: string; tree: string }): Promise<void> {
  const [at, inTree] = [join(dir, root), join(tree, root)];
  const found = await lstatOf(inTree);
  if (found && !found.isDirectory()) return rename(inTree, at);
  await unlink(at);
  if (found) await rename(inTree, at);
}

/** Out of the way at once; removed when nobody waits for it. */
async function retire({ home }: Places): Promise<void> {
  const old = `${home}.old-${process.pid}-${process.hrtime.bigint()}`;
  await rename(home, old);
  removeTree(old).catch(() => undefined);
}

async function isFolder(top: string, path: string): Promise<boolean> {
  return (await lstatOf(join(top, path)))?.isDirectory() ?? false;
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

async function allPaths(top: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const path of pathsIn(top)) paths.push(path);
  return paths;
}

/** Those that are still there, and every folder above them: in this tree they may all be new. */
async function syncPaths(top: string, paths: Iterable<string>): Promise<void> {
  const folders = new Set<string>();
  for (const path of paths) {
    await syncPath(join(top, path));
    for (let at = dirname(path); at !== "." && !folders.has(at); at = dirname(at)) folders.add(at);
  }
  for (const folder of folders) await syncPath(join(top, folder));
}
