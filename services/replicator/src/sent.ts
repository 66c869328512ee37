/** Counts what a resource has sent to each host, copies and deltas apart, from totals that start over with each connection. */

import type { ShadowProgress } from "@understudy/mirror/engine";
import type { ResourceState } from "./resource-state.ts";
import type { Measures } from "./telemetry.ts";

type Totals = Pick<ShadowProgress, "seedBytes" | "deltaBytes">;

export function countSent(resource: string, measures: Measures) {
  let before = new Map<string, Totals>();
  return {
    count: (shadows: readonly ShadowProgress[], state: ResourceState): void => {
      const now = new Map<string, Totals>();
      for (const { instance, incarnation, seedBytes, deltaBytes } of shadows) {
        const key = `${instance} ${incarnation}`;
        const last = before.get(key);
        // A new primary end starts from nothing.
        const was = last && last.seedBytes <= seedBytes && last.deltaBytes <= deltaBytes ? last : undefined;
        const host = state.instances.find(({ name }) => name === instance)?.host || state.host;
        const { sentBytes } = measures();
        sentBytes.add(seedBytes - (was?.seedBytes ?? 0), { resource, host, kind: "seed" });
        sentBytes.add(deltaBytes - (was?.deltaBytes ?? 0), { resource, host, kind: "delta" });
        now.set(key, { seedBytes, deltaBytes });
      }
      before = now;
    },
  };
}
