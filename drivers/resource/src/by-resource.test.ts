/** Several drivers as one: held to the contract, and every instance stays with the driver that runs it. */

import assert from "node:assert/strict";
import { it } from "node:test";
import { byResource } from "./by-resource.ts";
import { describeResourceDriver } from "./contract.ts";
import {
  createMemoryMachine,
  killInMemory,
  openMemoryDriver,
  roleInMemory,
  signalsInMemory,
} from "./memory.ts";

const role = { role: "shadow", epoch: 1, untilBootMs: 0 } as const;

describeResourceDriver("memory, beside another one,", async () => {
  const machine = createMemoryMachine();
  const other = createMemoryMachine();
  return {
    open: async () =>
      byResource((resource) => (resource === "catalog" ? "memory" : undefined), {
        memory: openMemoryDriver(machine),
        process: openMemoryDriver(other),
      }),
    kill: async (running) => killInMemory(machine, running),
    roleSeenBy: async (running) => roleInMemory(machine, running),
    signalsSeenBy: async (running) => signalsInMemory(machine, running),
    stateDir: async () => "/nowhere",
    close: async () => machine.instances.clear(),
  };
});

it("ends an instance with the driver that runs it, whatever the configuration says by now", async () => {
  const [first, second] = [createMemoryMachine(), createMemoryMachine()];
  let name: "memory" | "docker" | undefined = "memory";
  const driver = byResource(() => name, {
    memory: openMemoryDriver(first),
    docker: openMemoryDriver(second),
  });
  const running = await driver.start({
    resource: "catalog",
    instance: "catalog-1",
    incarnation: "a",
    stateDir: "/nowhere",
    role,
    env: {},
  });
  name = undefined;
  assert.deepEqual(await driver.list(), [running]);
  assert.equal((await driver.fence(running)).confirmed, true);
  assert.equal(roleInMemory(first, running), undefined);
});
