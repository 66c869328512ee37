/** About once a second, for each pool: what was counted since the last look, against the plan in force since then. */

import { pause } from "@understudy/model/pause";
import type { Actor } from "@understudy/service/run";
import type { PoolCounters } from "@understudy/traffic/driver";
import type { Applier } from "./applier.ts";
import type { Loop } from "./loop.ts";
import type { Performer } from "./perform.ts";
import type { Pools } from "./pools.ts";
import type { Instruments } from "./telemetry.ts";
import { verify } from "./verify.ts";

const EVERY_MS = 1_000;

type Look = {
  readonly inForce: NonNullable<ReturnType<Applier["inForce"]>>;
  readonly counters: PoolCounters;
};

export function verifyTraffic(parts: {
  readonly loop: Loop;
  readonly pools: Pools;
  readonly performer: Performer;
  readonly instruments: Instruments;
}): Actor {
  const { loop, pools, performer, instruments } = parts;
  const looks = new Map<string, Look>();

  async function look(resource: string, pool: string): Promise<void> {
    const applier = pools.get(pool);
    const inForce = applier?.inForce();
    if (!applier || !inForce) return;
    const counters = await applier.driver.counters();
    const before = looks.get(resource);
    looks.set(resource, { inForce, counters });
    // A plan that changed in between was in force for only a part of what was counted.
    if (!before || before.inForce.plan !== inForce.plan || applier.inForce()?.plan !== inForce.plan) return;
    const verified = verify(inForce, { before: before.counters, after: counters });
    instruments.measured(resource, verified.worstPpm);
    performer.verified(resource, inForce, verified);
    loop.hear({ kind: "verified", resource, worstPpm: verified.worstPpm });
  }

  return {
    name: "verify-traffic",
    async run(signal) {
      while (!signal.aborted) {
        await pause(EVERY_MS, signal);
        for (const [resource, { pool }] of loop.state()) {
          try {
            await look(resource, pool.name);
          } catch {
            // Its load balancer is away: the applier says so, ten times a second.
            looks.delete(resource);
          }
        }
      }
    },
  };
}
