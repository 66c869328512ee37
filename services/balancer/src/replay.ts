/**
 * Makes recorded decisions about shares again, under other settings: what would have been decided then? What a decision
 * leaves to the next (what is held, the shares before) is carried on as the replay itself decided it, from the first
 * decision on that comes out otherwise; until then the recording knows better, for it has seen what lies between two
 * recorded decisions. The number of shadows stays what it was.
 */

import { isDeepStrictEqual } from "node:util";
import { type Limit, limitsOf } from "./candidates.ts";
import type { Knowledge, Reason, Settings } from "./decision.ts";
import type { Recorded } from "./inputs-from-wire.ts";
import { DEADBAND_PPM, shareDistance } from "./share.ts";
import { weigh } from "./weigh.ts";

export type Change = Partial<
  Pick<Settings["forecast"], "policy" | "quantile"> &
    Pick<Settings["routing"], "maxShadowShare" | "maxStalenessMs" | "onlyStale">
>;

export type Replayed = {
  readonly recorded: Recorded;
  /** False: on the recorded inputs this core does not decide what was recorded; another version made it. */
  readonly reproduced: boolean;
  readonly readPpm: ReadonlyMap<string, number>;
  readonly reason: Reason;
  /** By more than the balancer itself would make a new plan for. */
  readonly differs: boolean;
};

type Outcome = Pick<Knowledge, "shift" | "shares" | "limits"> & { readonly reason: Reason };

/** In the order in which they were recorded; of any number of resources. */
export function replay(recording: readonly Recorded[], change: Change): readonly Replayed[] {
  const carried = new Map<string, Omit<Outcome, "reason">>();
  return recording.map((recorded) => {
    const { resource, known, decidedAtMs, readPpm } = recorded;
    const before = decideAgain(known, decidedAtMs);
    const changed = { ...known, ...carried.get(resource), spec: changedSettings(known.spec, change) };
    const { reason, ...after } = decideAgain(changed, decidedAtMs);
    const { reason: _, ...same } = before;
    if (isDeepStrictEqual(after, same)) carried.delete(resource);
    else carried.set(resource, after);
    return {
      recorded,
      reproduced: shareDistance(before.shares, readPpm) === 0,
      readPpm: after.shares,
      reason,
      differs: shareDistance(after.shares, readPpm) >= DEADBAND_PPM,
    };
  });
}

function decideAgain(known: Knowledge, nowMs: number): Outcome {
  const { shift, shares, candidates, reason } = weigh(known, nowMs);
  const limits: ReadonlyMap<string, Limit> = limitsOf(candidates);
  return { shift, shares, limits, reason };
}

function changedSettings(spec: Settings, change: Change): Settings {
  const { policy, quantile, maxShadowShare, maxStalenessMs, onlyStale } = {
    ...spec.forecast,
    ...spec.routing,
    ...change,
  };
  return {
    ...spec,
    forecast: { policy, quantile },
    routing: { maxShadowShare, maxStalenessMs, onlyStale },
  };
}
