/**
 * Brings one load balancer to the newest plan: one apply at a time, and of the plans that come meanwhile only the last.
 * Deciding never waits for a load balancer.
 */

import type { Context } from "@opentelemetry/api";
import { type Applied, DriverError, type Plan, type TrafficDriver } from "@understudy/traffic/driver";
import type { Instruments } from "./telemetry.ts";

const RECOVER_EVERY_MS = 200;
/** A plan that is in force is asked about again only so often: each decision repeats it, and most change nothing. */
const CONFIRM_EVERY_MS = 250;

export type Order = {
  readonly resource: string;
  readonly plan: Plan;
  readonly sampledAtMs: number;
  /** Of the decision. */
  readonly trace: Context;
};

export type Answer =
  | {
      readonly order: Order;
      readonly ok: true;
      readonly applied: Applied;
      readonly sampleToAppliedMs: number;
    }
  | { readonly order: Order; readonly ok: false; readonly error: string };

export type Applier = {
  submit(order: Order): void;
  /** The last plan that was applied, and what was set. */
  inForce(): { readonly plan: Plan; readonly applied: Applied } | undefined;
  /** Asks the load balancer what is in force, until it answers. */
  recover(): void;
  readonly driver: TrafficDriver;
  close(): Promise<void>;
};

export function openApplier(parts: {
  readonly driver: TrafficDriver;
  readonly instruments: Instruments;
  readonly nowMs: () => number;
  readonly onAnswer: (answer: Answer) => void;
  /** What the load balancer says is in force: at the start, and when it knows a later plan than we do. */
  readonly onRecovered: (plan: Plan | undefined) => void;
}): Applier {
  const { driver, instruments, nowMs } = parts;
  let next: Order | undefined;
  let busy = false;
  let closed = false;
  let timer: NodeJS.Timeout | undefined;
  let inForce: { plan: Plan; applied: Applied } | undefined;
  let heardAtMs = Number.NEGATIVE_INFINITY;

  /** A wish for a plan that the load balancer has just said is in force. */
  function justConfirmed({ plan }: Order): boolean {
    const same = inForce?.plan.epoch === plan.epoch && inForce.plan.revision === plan.revision;
    return same && !busy && performance.now() - heardAtMs < CONFIRM_EVERY_MS;
  }

  async function recover(): Promise<void> {
    try {
      parts.onRecovered(await driver.read());
    } catch {
      // It is away or not ready: what matters is said by the pool's readiness, and by the first plan that fails.
      if (!closed) timer = setTimeout(() => void recover(), RECOVER_EVERY_MS);
    }
  }

  async function apply(order: Order): Promise<void> {
    const span = instruments.applying(order.trace, order.plan);
    const { resource, plan, sampledAtMs } = order;
    const startMs = performance.now();
    try {
      const applied = await driver.apply(plan);
      inForce = { plan, applied };
      heardAtMs = performance.now();
      const sampleToAppliedMs = sampledAtMs > 0 ? Math.max(0, nowMs() - sampledAtMs) : 0;
      const timing = {
        tookMs: performance.now() - startMs,
        sampleToAppliedMs: sampledAtMs > 0 ? sampleToAppliedMs : undefined,
      };
      instruments.applied({ span, resource, ...timing });
      parts.onAnswer({ order, ok: true, applied, sampleToAppliedMs });
    } catch (error) {
      if (closed) return;
      instruments.applyFailed({ span, resource, error: error as Error });
      parts.onAnswer({ order, ok: false, error: (error as Error).message });
      if (error instanceof DriverError && error.code === "stale-plan") await recover();
    }
  }

  async function work(): Promise<void> {
    busy = true;
    while (next && !closed) {
      const order = next;
      next = undefined;
      await apply(order);
    }
    busy = false;
  }

  void recover();
  return {
    submit(order) {
      if (justConfirmed(order)) return;
      next = order;
      if (!busy) void work();
    },
    inForce: () => inForce,
    recover: () => void recover(),
    driver,
    close: async () => {
      closed = true;
      clearTimeout(timer);
      await driver.close();
    },
  };
}
