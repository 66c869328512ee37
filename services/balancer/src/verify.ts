/** Does traffic obey? Compares what the load balancer counted between two looks with the plan that was in force between them. */

import { PPM } from "@understudy/model/share";
import type { Applied, Plan, PoolCounters } from "@understudy/traffic/driver";
import type { MeasuredShare } from "./wire.ts";

/** Fewer reads than this say nothing about shares. */
const READS_MIN = 50;

export type Verified = {
  readonly shares: readonly MeasuredShare[];
  /** Largest distance of a measured share from the one set, ppm; 0 when nothing could be measured. */
  readonly worstPpm: number;
};

export function verify(
  { plan, applied }: { plan: Plan; applied: Applied },
  { before, after }: { before: PoolCounters; after: PoolCounters },
): Verified {
  const reads = readsBetween(before, after);
  const total = [...reads.values()].reduce((sum, count) => sum + count, 0);
  const set = new Map(applied.shares.map((share) => [share.instance, share.setPpm]));
  const shares = plan.targets.map(({ instance, readPpm }): MeasuredShare => {
    const measured = total >= READS_MIN ? Math.round(((reads.get(instance) ?? 0) / total) * PPM) : undefined;
    return { instance, wantedPpm: readPpm, setPpm: set.get(instance) ?? 0, measuredPpm: measured };
  });
  const distances = shares.map(({ measuredPpm, setPpm }) =>
    measuredPpm === undefined ? 0 : Math.abs(measuredPpm - setPpm),
  );
  return { shares, worstPpm: Math.max(0, ...distances) };
}

/** An instance that is new, or whose counter went back with its load balancer, has no difference yet. */
function readsBetween(before: PoolCounters, after: PoolCounters): ReadonlyMap<string, number> {
  const earlier = new Map(before.targets.map((target) => [target.instance, target.reads]));
  return new Map(
    after.targets.map(({ instance, reads }) => [
      instance,
      Math.max(0, reads - (earlier.get(instance) ?? reads)),
    ]),
  );
}
