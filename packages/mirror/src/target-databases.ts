/** Applies pages to the shadow's databases: each plan is one transaction per database, published under SQLite's own locks. */

import { mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { databaseEntry } from "./databases.ts";
import { emptyManifest, type Manifest, setBlocks, setEntry } from "./manifest.ts";
import type { Planned } from "./plan.ts";
import type { DatabaseReplica } from "./sqlite/replica.ts";
import { openReplica } from "./sqlite/replicate.ts";
import { lockPage } from "./sqlite/wal.ts";
import type { BlocksChange, Target } from "./target.ts";

/** `paths` holds the absolute path of each database, by its name in the state. */
export function databaseTarget(paths: ReadonlyMap<string, string>): Target {
  const replicas = new Map<string, DatabaseReplica>();
  for (const [name, path] of paths) {
    mkdirSync(dirname(path), { recursive: true });
    replicas.set(name, openReplica(path));
  }

  return {
    accepts: (kind) => kind === "database",
    async scan() {
      const manifest = emptyManifest();
      for (const [name, replica] of replicas) record(manifest, name, replica.pageHashes());
      return manifest;
    },
    async apply(plan, read) {
      for (const name of plan.removes) {
        const path = paths.get(name);
        if (path === undefined || plan.paths.has(name)) continue;
        replicas.get(name)!.close();
        removeDatabase(path);
        replicas.set(name, openReplica(path));
      }
      for (const [name, planned] of plan.paths) {
        const changes: BlocksChange[] = [];
        for (const slot of planned.slots) {
          const contents = await read(slot);
          if (contents.op === "blocks") changes.push(contents);
        }
        replicas.get(name)!.apply(pageChanges(planned, changes));
      }
    },
    async flush() {
      for (const replica of replicas.values()) replica.sync();
    },
    handOver: async () => undefined,
    close() {
      for (const replica of replicas.values()) replica.close();
    },
  };
}

function record(
  manifest: Manifest,
  name: string,
  { pageSize, hashes }: { pageSize: number; hashes: readonly Uint8Array[] },
): void {
  if (hashes.length === 0) return;
  setEntry(manifest, name, { entry: databaseEntry(pageSize, hashes.length) });
  // The page with SQLite's lock byte is never used and never sent.
  const indexes = [...hashes.keys()].filter((index) => index + 1 !== lockPage(pageSize));
  setBlocks(manifest, name, { indexes, hashes: Buffer.concat(indexes.map((index) => hashes[index]!)) });
}

/** The last image of each page; pages above the end, or of another page size, were cut off by a later change. */
function pageChanges({ entry }: Planned, changes: readonly BlocksChange[]) {
  const pageCount = entry.size / entry.blockSize;
  const images = new Map<number, Uint8Array>();
  for (const { indexes, data } of changes.filter(({ blockSize }) => blockSize === entry.blockSize)) {
    indexes.forEach((index, at) => {
      const number = index + 1;
      if (number <= pageCount)
        images.set(number, data.subarray(at * entry.blockSize, (at + 1) * entry.blockSize));
    });
  }
  const pages = [...images].map(([number, data]) => ({ number, data })).sort((a, b) => a.number - b.number);
  return { pageSize: entry.blockSize, pageCount, pages };
}

function removeDatabase(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
}
