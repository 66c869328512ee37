/** The load balancers of the configuration in force: opened when a pool appears, closed when it goes or moves. */

import type { Configuration, PoolSpec } from "@understudy/model/policy";
import type { TrafficDriver } from "@understudy/traffic/driver";
import { type Applier, openApplier } from "./applier.ts";

type ApplierParts = Parameters<typeof openApplier>[0];

export type Pools = {
  configure(configuration: Configuration): void;
  get(pool: string): Applier | undefined;
  /** Pools whose load balancer has not said yet what is in force. */
  unheard(): readonly string[];
  close(): Promise<void>;
};

type Open = { readonly spec: PoolSpec; readonly applier: Applier; heard: boolean };

export function openPools(
  parts: Pick<ApplierParts, "instruments" | "nowMs" | "onAnswer"> & {
    readonly openDriver: (pool: PoolSpec) => TrafficDriver;
    readonly onRecovered: (pool: string, plan: Parameters<ApplierParts["onRecovered"]>[0]) => void;
  },
): Pools {
  const pools = new Map<string, Open>();

  function open(spec: PoolSpec): void {
    const applier = openApplier({
      ...parts,
      driver: parts.openDriver(spec),
      onRecovered: (plan) => {
        one.heard = true;
        parts.onRecovered(spec.name, plan);
      },
    });
    const one: Open = { spec, applier, heard: false };
    pools.set(spec.name, one);
  }

  return {
    configure({ pools: specs }) {
      for (const [name, { spec, applier }] of pools) {
        const wanted = specs.find((one) => one.name === name);
        if (wanted && isSame(spec, wanted)) continue;
        pools.delete(name);
        void applier.close();
      }
      for (const spec of specs) {
        const known = pools.get(spec.name);
        // A resource that is new on a known pool has to hear what is in force there, too.
        if (known) known.applier.recover();
        else open(spec);
      }
    },
    get: (pool) => pools.get(pool)?.applier,
    unheard: () => [...pools.values()].filter(({ heard }) => !heard).map(({ spec }) => spec.name),
    close: async () => {
      await Promise.all([...pools.values()].map(({ applier }) => applier.close()));
      pools.clear();
    },
  };
}

function isSame(a: PoolSpec, b: PoolSpec): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
