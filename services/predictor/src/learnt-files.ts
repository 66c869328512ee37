/**
 * Keeps what was learnt on disk, one file a resource, so that a restarted predictor does not begin with nothing. A file that
 * cannot be used is said once and left out: the resource then starts cold.
 */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ResourceSpec } from "@understudy/model/policy";
import type { Log } from "@understudy/service/log";
import type { Watched } from "./decide.ts";
import { type Learnt, learntFromText, learntToText } from "./learnt.ts";

export type LearntFiles = {
  /** By resource, for those that have any. */
  recall(specs: readonly ResourceSpec[]): ReadonlyMap<string, Learnt>;
  keep(watched: Iterable<Watched>): void;
};

/** Makes the folder. */
export function openLearntFiles(dataDir: string, log: Pick<Log, "warn">): LearntFiles {
  const dir = join(dataDir, "learnt");
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const pathOf = (resource: string) => join(dir, `${resource}.json`);
  let failing = false;

  function recallOne(spec: ResourceSpec): Learnt | undefined {
    try {
      return learntFromText(readFileSync(pathOf(spec.name), "utf8"), spec);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      log.warn("what was learnt cannot be used: the forecast starts cold", { resource: spec.name, error });
      return undefined;
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
    keep(watched) {
      try {
        for (const { spec, demand, capacity } of watched) {
          // Nothing to keep before the first sample, and what is on disk may still be worth something.
          if (!demand.view()) continue;
          const text = learntToText({ demand: demand.learnt(), samples: capacity.samples() }, spec);
          // Whole or not at all; not synced, because what is lost with the power is learnt again.
          writeFileSync(`${pathOf(spec.name)}.new`, text, { mode: 0o600 });
          renameSync(`${pathOf(spec.name)}.new`, pathOf(spec.name));
        }
        failing = false;
      } catch (error) {
        // Once per outage: a full disk is tried again each time.
        if (!failing) log.warn("what was learnt cannot be kept", { error });
        failing = true;
      }
    },
  };
}
