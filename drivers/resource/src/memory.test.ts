/** The memory driver, held to the contract of the real ones. */

import assert from "node:assert/strict";
import { it } from "node:test";
import { describeResourceDriver } from "./contract.ts";
import {
  createMemoryMachine,
  killInMemory,
  makeStuckInMemory,
  openMemoryDriver,
  roleInMemory,
  signalsInMemory,
} from "./memory.ts";

describeResourceDriver("memory", async () => {
  const machine = createMemoryMachine();
  return {
    open: async () => openMemoryDriver(machine, { resources: ["catalog"] }),
    kill: async (running) => killInMemory(machine, running),
    roleSeenBy: async (running) => roleInMemory(machine, running),
    signalsSeenBy: async (running) => signalsInMemory(machine, running),
    stateDir: async () => "/nowhere",
    close: async () => machine.instances.clear(),
  };
});

it("cannot confirm the fence of an instance that does not obey", async () => {
  const machine = createMemoryMachine();
  const driver = openMemoryDriver(machine);
  const role = { role: "primary", epoch: 1, untilBootMs: 0 } as const;
  const running = await driver.start({
    resource: "catalog",
    instance: "catalog-1",
    incarnation: "a",
    stateDir: "/nowhere",
    role,
    env: {},
  });
  makeStuckInMemory(machine, running);
  assert.equal((await driver.fence(running)).confirmed, false);
  assert.deepEqual(roleInMemory(machine, running), role);
});
