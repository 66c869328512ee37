/**
 * Says on disk that a predictor works with a data folder, so that nothing else writes there meanwhile: one file a shard,
 * touched again and again and removed at the end. A file's age tells also across containers, where a process id does not.
 */

import { mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Shard } from "@understudy/model/shard";

export const HOLD_EVERY_MS = 10_000;
/** So long after it was last touched a file is of a predictor that was killed. */
export const HELD_MS = 30_000;

export async function holdFolder(dataDir: string, shard: Shard): Promise<void> {
  await mkdir(join(dataDir, "in-use"), { recursive: true, mode: 0o700 });
  await writeFile(fileOf(dataDir, shard), `${process.pid}\n`, { mode: 0o600 });
}

export async function releaseFolder(dataDir: string, shard: Shard): Promise<void> {
  await rm(fileOf(dataDir, shard), { force: true });
}

/** When a predictor that still counts as running last said that it works there; undefined when none does. */
export async function heldSince(dataDir: string, nowMs: number): Promise<number | undefined> {
  const folder = join(dataDir, "in-use");
  const names = (await orNothing(readdir(folder))) ?? [];
  const touched = await Promise.all(names.map((name) => orNothing(stat(join(folder, name)))));
  const lastMs = Math.max(...touched.map((file) => file?.mtimeMs ?? Number.NEGATIVE_INFINITY));
  return nowMs - lastMs < HELD_MS ? lastMs : undefined;
}

function fileOf(dataDir: string, { index, of }: Shard): string {
  return join(dataDir, "in-use", `predictor-${index}-of-${of}`);
}

/** Undefined when it is not there, or no longer. */
async function orNothing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
