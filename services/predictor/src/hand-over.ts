/**
 * Puts what a training has learnt where the predictor looks when it starts. Not while one works there: it would write over
 * it within seconds. Not in place of what a predictor has learnt itself, unless that is asked for. Its capacity stays.
 */

import type { ResourceSpec } from "@understudy/model/policy";
import { createCapacity } from "./capacity.ts";
import type { DemandLearnt } from "./demand.ts";
import { heldSince } from "./in-use.ts";
import { readLearnt, writeLearnt } from "./learnt-files.ts";

export type HandedOver =
  | { readonly handed: true; readonly file: string }
  | { readonly handed: false; readonly why: "in use" | "learnt already"; readonly sinceMs: number };

/** `replace`: also in place of what is there. */
export async function handOver(
  dataDir: string,
  { spec, demand }: { spec: ResourceSpec; demand: DemandLearnt },
  { nowMs, replace }: { nowMs: number; replace: boolean },
): Promise<HandedOver> {
  const heldMs = await heldSince(dataDir, nowMs);
  if (heldMs !== undefined) return { handed: false, why: "in use", sinceMs: heldMs };
  const present = presentIn(dataDir, spec);
  if (present?.learnt.demand && !replace)
    return { handed: false, why: "learnt already", sinceMs: present.keptMs };
  const capacity = present?.learnt.capacity ?? createCapacity(spec.capacity).learnt();
  return { handed: true, file: await writeLearnt(dataDir, spec, { demand, capacity }) };
}

/** What is damaged the predictor would not use either. */
function presentIn(dataDir: string, spec: ResourceSpec): ReturnType<typeof readLearnt> {
  try {
    return readLearnt(dataDir, spec);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return undefined;
  }
}
