/**
 * Keeps what was learnt on disk, one file a resource, so that a restarted predictor does not begin with nothing. A file or
 * a disk that cannot be used is said once; the forecast goes on, and after a restart begins cold.
 */

import { readFileSync } from "node:fs";
import { mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ResourceSpec } from "@understudy/model/policy";
import type { Log } from "@understudy/service/log";
import type { Watched } from "./decide.ts";
import { type Learnt, learntFromText, learntToText } from "./learnt.ts";

const SUFFIX = ".json";

export type LearntFiles = {
  /** By resource, for those that have any. */
  recall(specs: readonly ResourceSpec[]): ReadonlyMap<string, Learnt>;
  /** Writes one resource after the other, and removes what is of none of them. */
  keep(watched: readonly Watched[]): Promise<void>;
};

export function openLearntFiles(dataDir: string, log: Pick<Log, "warn">): LearntFiles {
  const dir = join(dataDir, "learnt");
  const pathOf = (resource: string) => join(dir, `${resource}${SUFFIX}`);
  let failing = false;

  function recallOne(spec: ResourceSpec): Learnt | undefined {
    const file = pathOf(spec.name);
    try {
      return learntFromText(readFileSync(file, "utf8"), spec);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      log.warn("what was learnt cannot be used: the forecast starts cold", { file, error });
      return undefined;
    }
  }

  async function write({ spec, demand, capacity }: Watched): Promise<void> {
    // Nothing to keep before the first sample, and what is on disk may still be worth something.
    if (!demand.view()) return;
    const text = learntToText({ demand: demand.learnt(), capacity: capacity.learnt() }, spec);
    // Whole or not at all; not synced, because what is lost with the power is learnt again.
    await writeFile(`${pathOf(spec.name)}.new`, text, { mode: 0o600 });
    await rename(`${pathOf(spec.name)}.new`, pathOf(spec.name));
  }

  async function removeOthers(resources: ReadonlySet<string>): Promise<void> {
    for (const file of await readdir(dir)) {
      if (!resources.has(file.slice(0, -SUFFIX.length))) await rm(join(dir, file), { force: true });
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
    async keep(watched) {
      try {
        await mkdir(dir, { recursive: true, mode: 0o700 });
        for (const one of watched) await write(one);
        await removeOthers(new Set(watched.map(({ spec }) => spec.name)));
        failing = false;
      } catch (error) {
        // Once per outage: it is tried again each time.
        if (!failing)
          log.warn("what was learnt cannot be kept: make the folder writable, or a restart starts cold", {
            dir,
            error,
          });
        failing = true;
      }
    },
  };
}
