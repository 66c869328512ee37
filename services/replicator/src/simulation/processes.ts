/** The instances of a simulated world: processes that obey their role orders, and of which two must never write. */

import assert from "node:assert/strict";
import type { FenceResult, RoleOrder, RunningInstance } from "@understudy/resource/driver";
import type { Member } from "@understudy/state/store";

export type Process = {
  readonly running: RunningInstance;
  alive: boolean;
  order: RoleOrder;
  /** False: it cannot be reached, and runs on. */
  fenceable: boolean;
};

export type SimulatedProcesses = {
  start(member: Member, order: RoleOrder): RunningInstance;
  giveRole(member: Member, order: RoleOrder): void;
  fence(member: Member): FenceResult;
  isAlive(member: Member): boolean;
  all(): readonly Process[];
  /** Throws when two of them may write at this moment. */
  check(bootMs: number): void;
};

export function simulateProcesses(resource: string): SimulatedProcesses {
  const processes = new Map<string, Process>();
  const keyOf = ({ instance, incarnation }: Member) => `${instance}/${incarnation}`;
  return {
    start: (member, order) => {
      const pid = processes.size + 1;
      const address = `addr-${keyOf(member)}`;
      const running = { resource, ...member, address, pid, pidStartTicks: 1 };
      processes.set(keyOf(member), { running, alive: true, order, fenceable: true });
      return running;
    },
    giveRole: (member, order) => {
      const process = processes.get(keyOf(member));
      if (!process) return;
      assert.ok(order.epoch >= process.order.epoch, "role orders never go back");
      process.order = order;
    },
    fence: (member) => {
      const process = processes.get(keyOf(member));
      if (process?.alive && !process.fenceable) return { confirmed: false, why: "host unreachable" };
      if (process) process.alive = false;
      return { confirmed: true, how: "killed" };
    },
    isAlive: (member) => processes.get(keyOf(member))?.alive ?? false,
    all: () => [...processes.values()],
    check: (bootMs) => {
      const writers = [...processes.values()].filter(
        ({ alive, order }) => alive && order.role === "primary" && bootMs < order.untilBootMs,
      );
      const names = writers.map(({ running }) => keyOf(running));
      assert.ok(writers.length <= 1, `two primaries under valid leases: ${names.join(" and ")}`);
    },
  };
}
