/**
 * Keeps what was learnt on disk, one file a resource, so that a restarted predictor does not begin with nothing. A file or
 * a disk that cannot be used is said once; the forecast goes on, and after a restart begins cold.
 */

import { readFileSync, statSync } from "node:fs";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isLabel } from "@understudy/model/names";
import type { ResourceSpec } from "@understudy/model/policy";
import type { Shard } from "@understudy/model/shard";
import type { Log } from "@understudy/service/log";
import type { Watched } from "./decide.ts";
import { holdFolder, releaseFolder } from "./in-use.ts";
import { type Learnt, learntFromText, learntToText } from "./learnt.ts";

const SUFFIX = ".json";
const UNFINISHED = ".new";

export type LearntFiles = {
  /** By resource, for those that have any. */
  recall(specs: readonly ResourceSpec[]): ReadonlyMap<string, Learnt>;
  /** Says that a predictor works here: at least every HOLD_EVERY_MS, here or by `keep`. */
  hold(): Promise<void>;
  /** Writes one resource after the other, and removes those of resources that are configured no longer. */
  keep(watched: readonly Watched[], configured: ReadonlySet<string>): Promise<void>;
  release(): Promise<void>;
};

export function openLearntFiles(
  dataDir: string,
  { shard, log }: { shard: Shard; log: Pick<Log, "warn"> },
): LearntFiles {
  const dir = learntFolder(dataDir);
  let failing = false;

  function recallOne(spec: ResourceSpec): Learnt | undefined {
    try {
      return readLearnt(dataDir, spec)?.learnt;
    } catch (error) {
      const file = fileOf(dir, spec.name);
      log.warn("what was learnt cannot be used: the forecast starts cold", { file, error });
      return undefined;
    }
  }

  async function write({ spec, demand, capacity }: Watched): Promise<void> {
    // Nothing to keep before the first sample, and what is on disk may still be worth something.
    if (!demand.view()) return;
    await writeLearnt(dataDir, spec, { demand: demand.learnt(), capacity: capacity.learnt() });
  }

  /** Other predictors may share the folder: what is configured and not ours is theirs, finished or not. */
  async function removeOthers(configured: ReadonlySet<string>): Promise<void> {
    for (const file of await readdir(dir)) {
      const resource = file.replace(UNFINISHED, "").slice(0, -SUFFIX.length);
      if (isLabel(resource) && !configured.has(resource)) await rm(join(dir, file), { force: true });
    }
  }

  /** Once per outage: it is tried again each time. */
  async function orWarn(write: () => Promise<void>): Promise<void> {
    try {
      await write();
      failing = false;
    } catch (error) {
      if (!failing)
        log.warn("what was learnt cannot be kept: make the folder writable, or a restart starts cold", {
          dir: dataDir,
          error,
        });
      failing = true;
    }
  }

  return {
    recall: (specs) =>
      new Map(
        specs.flatMap((spec) => {
          const learnt = recallOne(spec);
          return learnt ? [[spec.name, learnt] as const] : [];
        }),
      ),
    hold: () => orWarn(() => holdFolder(dataDir, shard)),
    keep: (watched, configured) =>
      orWarn(async () => {
        await holdFolder(dataDir, shard);
        await mkdir(dir, { recursive: true, mode: 0o700 });
        for (const one of watched) await write(one);
        await removeOthers(configured);
      }),
    release: () => orWarn(() => releaseFolder(dataDir, shard)),
  };
}

function learntFolder(dataDir: string): string {
  return join(dataDir, "learnt");
}

function fileOf(dir: string, resource: string): string {
  return join(dir, `${resource}${SUFFIX}`);
}

/** Undefined when there is none. Throws a RangeError that says what is damaged, or why it cannot be read. */
export function readLearnt(
  dataDir: string,
  spec: ResourceSpec,
): { readonly learnt: Learnt; readonly keptMs: number } | undefined {
  const file = fileOf(learntFolder(dataDir), spec.name);
  try {
    return { learnt: learntFromText(readFileSync(file, "utf8"), spec), keptMs: statSync(file).mtimeMs };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Whole or not at all; not synced, because what is lost with the power is learnt again. Returns the file. */
export async function writeLearnt(
  dataDir: string,
  spec: ResourceSpec,
  learnt: Required<Learnt>,
): Promise<string> {
  const dir = learntFolder(dataDir);
  const file = fileOf(dir, spec.name);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await writeFile(`${file}${UNFINISHED}`, learntToText(learnt, spec), { mode: 0o600 });
  await rename(`${file}${UNFINISHED}`, file);
  return file;
}
