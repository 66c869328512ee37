/** Captures live SQLite databases, transaction by transaction; nothing stops for it. */

import { setTimeout as sleep } from "node:timers/promises";
import { blockHash } from "./blocks.ts";
import { type Capture, type ChangeList, changeList } from "./capture.ts";
import { diskError } from "./error.ts";
import { FRAME_BYTES_AIM } from "./frames.ts";
import { type Entry, emptyManifest, type Manifest, sameEntry, setBlocks, setEntry } from "./manifest.ts";
import { DatabaseError } from "./sqlite/errors.ts";
import { followDatabase } from "./sqlite/follow.ts";
import type { DatabaseFollower } from "./sqlite/follower.ts";
import type { Page, PageChanges } from "./sqlite/pages.ts";

/** A reader that meets a checkpoint at a bad moment finds the log torn, and whole again right after. */
const READ_ATTEMPTS_MAX = 10;
const READ_RETRY_MS = 2;

/** Resolves with each database read once; `paths` holds the absolute path of each, by its name in the state. */
export async function captureDatabases(paths: ReadonlyMap<string, string>): Promise<Capture> {
  const followers = new Map([...paths].map(([name, path]) => [name, followDatabase(path)]));
  const manifest = emptyManifest();

  async function take(changes: ChangeList): Promise<ChangeList> {
    for (const [name, follower] of followers) {
      const pages = await readPatiently(name, follower);
      if (pages) record(manifest, name, { pages, changes });
    }
    return changes;
  }

  await take(changeList(0));
  return {
    manifest,
    pending: () => [...followers.values()].some((follower) => follower.pending()),
    take: () => take(changeList()),
    async read(name, indexes) {
      const images = followers.get(name)?.images(indexes.map((index) => index + 1));
      if (images?.pages.length !== indexes.length) return undefined;
      return Buffer.concat(images.pages.map((page) => page.data));
    },
    close() {
      for (const follower of followers.values()) follower.close();
    },
  };
}

async function readPatiently(name: string, follower: DatabaseFollower): Promise<PageChanges | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return follower.read();
    } catch (error) {
      const passes = error instanceof DatabaseError && (error.code === "busy" || error.code === "torn");
      if (!passes || attempt >= READ_ATTEMPTS_MAX) throw diskError(`reading database ${name}`, error);
      await sleep(READ_RETRY_MS * attempt);
    }
  }
}

export function databaseEntry(pageSize: number, pageCount: number): Entry {
  return {
    kind: "database",
    mode: 0,
    mtimeMs: 0,
    size: pageSize * pageCount,
    blockSize: pageSize,
    target: "",
    uid: 0,
    gid: 0,
  };
}

function record(
  manifest: Manifest,
  name: string,
  { pages: { pageSize, pageCount, pages }, changes }: { pages: PageChanges; changes: ChangeList },
): void {
  const entry = databaseEntry(pageSize, pageCount);
  const before = manifest.entries.get(name)?.entry;
  if (pages.length === 0 && before && sameEntry(before, entry)) return;
  setEntry(manifest, name, { entry });
  changes.add({ op: "entry", path: name, entry });
  for (const some of pieces(pages, Math.floor(FRAME_BYTES_AIM / pageSize))) {
    const indexes = some.map((page) => page.number - 1);
    setBlocks(manifest, name, { indexes, hashes: Buffer.concat(some.map((page) => blockHash(page.data))) });
    if (changes.room === 0) continue;
    const data = Buffer.concat(some.map((page) => page.data));
    changes.add({ op: "blocks", path: name, blockSize: pageSize, indexes, data });
  }
}

function* pieces(pages: readonly Page[], length: number): Generator<readonly Page[]> {
  for (let at = 0; at < pages.length; at += length) yield pages.slice(at, at + length);
}
