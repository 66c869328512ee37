/**
 * A load balancer inside one process, for tests: it routes by the same rules, holds writes while no target takes them, and
 * several drivers may be opened on it, as several processes would be on one HAProxy.
 */

import { PPM } from "@understudy/model/share";
import {
  type Applied,
  DriverError,
  type Plan,
  type PlanTarget,
  type PoolCounters,
  type TrafficDriver,
} from "./driver.ts";
import { checkPlan, refuseOlder } from "./plan.ts";

const SLOTS_DEFAULT = 8;

export type MemoryBalancer = {
  readonly pool: string;
  /** Sends one request: the instance that served it. A write with no open target waits until there is one. */
  send(kind: "read" | "write"): Promise<string>;
  /** Simulates a balancer that is away: drivers throw "unreachable". */
  setReachable(reachable: boolean): void;
  /** Simulates a restart: it comes back with no plan at all. */
  restart(): void;
  /** How many times a driver changed something. */
  changes(): number;
  /** For drivers only. */
  readonly internals: Internals;
};

type Internals = {
  plan(): Plan | undefined;
  setPlan(plan: Plan): void;
  counters(): PoolCounters;
  reachable(): boolean;
  readonly slots: number;
};
type Served = { reads: number; writes: number; credit: number };

export function memoryBalancer({
  pool,
  slots = SLOTS_DEFAULT,
}: {
  pool: string;
  slots?: number;
}): MemoryBalancer {
  const served = new Map<string, Served>();
  const offered = { reads: 0, writes: 0 };
  const held: (() => void)[] = [];
  let plan: Plan | undefined;
  let reachable = true;
  let changes = 0;

  const servedOf = (instance: string): Served => {
    const one = served.get(instance) ?? { reads: 0, writes: 0, credit: 0 };
    served.set(instance, one);
    return one;
  };

  /** Smooth weighted round robin: each request adds every share to its target's credit, and the richest pays for it. */
  function pickReader(): PlanTarget | undefined {
    const readers = plan?.targets.filter((target) => target.readPpm > 0 && !target.drain) ?? [];
    for (const target of readers) servedOf(target.instance).credit += target.readPpm;
    const best = readers.toSorted((a, b) => servedOf(b.instance).credit - servedOf(a.instance).credit)[0];
    if (best) servedOf(best.instance).credit -= readers.reduce((sum, target) => sum + target.readPpm, 0);
    return best;
  }

  async function send(kind: "read" | "write"): Promise<string> {
    offered[kind === "read" ? "reads" : "writes"] += 1;
    for (;;) {
      const target = kind === "read" ? pickReader() : plan?.targets.find((one) => one.writes && !one.drain);
      if (target) {
        servedOf(target.instance)[kind === "read" ? "reads" : "writes"] += 1;
        return target.instance;
      }
      await new Promise<void>((resolve) => held.push(resolve));
    }
  }

  function counters(): PoolCounters {
    const targets = (plan?.targets ?? []).map(({ instance, writes }) => ({
      instance,
      reads: servedOf(instance).reads,
      writes: servedOf(instance).writes,
      errors: 0,
      inFlight: 0,
      bytesIn: 0,
      bytesOut: 0,
      readUp: true,
      writeUp: writes,
    }));
    return {
      targets,
      readsOffered: offered.reads,
      writesOffered: offered.writes,
      queued: held.length,
      errors: 0,
      bytesIn: 0,
      bytesOut: 0,
    };
  }

  function setPlan(next: Plan): void {
    if (JSON.stringify(next) !== JSON.stringify(plan)) changes += 1;
    plan = next;
    for (const wake of held.splice(0)) wake();
  }

  return {
    pool,
    send,
    setReachable: (is) => {
      reachable = is;
    },
    restart: () => {
      plan = undefined;
      served.clear();
    },
    changes: () => changes,
    internals: { plan: () => plan, setPlan, counters, reachable: () => reachable, slots },
  };
}

export function openMemoryDriver(balancer: MemoryBalancer): TrafficDriver {
  const { internals, pool } = balancer;
  let closed = false;

  function reach(): void {
    if (closed) throw new DriverError("closed", `memory balancer ${pool}: the driver is closed`);
    if (!internals.reachable()) throw new DriverError("unreachable", `memory balancer ${pool} is away`);
  }

  return {
    async apply(plan: Plan, signal?: AbortSignal): Promise<Applied> {
      checkPlan(plan);
      signal?.throwIfAborted();
      reach();
      refuseOlder(plan, internals.plan() ?? { epoch: 0, revision: 0 });
      if (plan.targets.length > internals.slots) {
        throw new DriverError(
          "no-slot",
          `memory balancer: ${plan.targets.length} targets for ${internals.slots} slots of pool ${pool}`,
        );
      }
      internals.setPlan(plan);
      return { epoch: plan.epoch, revision: plan.revision, shares: sharesOf(plan) };
    },
    async read() {
      reach();
      return internals.plan();
    },
    async counters() {
      reach();
      return internals.counters();
    },
    async close() {
      closed = true;
    },
  };
}

/** It needs no integers: shares are set as they are wanted, among those that do not drain. */
function sharesOf(plan: Plan): Applied["shares"] {
  const share = (target: PlanTarget) => (target.drain ? 0 : target.readPpm);
  const total = plan.targets.reduce((sum, target) => sum + share(target), 0);
  return plan.targets.map((target) => ({
    instance: target.instance,
    setPpm: total > 0 ? Math.round((share(target) / total) * PPM) : 0,
  }));
}
