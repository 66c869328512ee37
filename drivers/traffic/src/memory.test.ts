import assert from "node:assert/strict";
import { test } from "node:test";
import { PPM } from "@understudy/model/share";
import { SLOTS, trafficDriverContract } from "./contract.ts";
import { memoryBalancer, openMemoryDriver } from "./memory.ts";

trafficDriverContract("memory", {
  deviations: { setWithinPpm: 0, because: "it needs no integers" },
  start: async () => {
    const balancer = memoryBalancer({ pool: "web", slots: SLOTS });
    return {
      open: () => openMemoryDriver(balancer),
      send: balancer.send,
      locate: async (instance) => ({ address: `${instance}.test:80`, gateAddress: `${instance}.test:81` }),
      stop: async () => undefined,
    };
  },
});

test("after a restart the balancer has no plan, and takes the old one again", async () => {
  const balancer = memoryBalancer({ pool: "web" });
  const driver = openMemoryDriver(balancer);
  const target = {
    instance: "a",
    address: "a:1",
    gateAddress: "a:2",
    readPpm: PPM,
    writes: true,
    drain: false,
  };
  const plan = { pool: "web", revision: 4, epoch: 2, targets: [target] };
  await driver.apply(plan);
  balancer.restart();
  assert.equal(await driver.read(), undefined);
  await driver.apply(plan);
  assert.equal(await balancer.send("write"), "a");
});

test("a balancer that is away is unreachable, and obeys again when it is back", async () => {
  const balancer = memoryBalancer({ pool: "web" });
  const driver = openMemoryDriver(balancer);
  balancer.setReachable(false);
  const plan = { pool: "web", revision: 1, epoch: 1, targets: [] };
  await assert.rejects(driver.apply(plan), { code: "unreachable" });
  balancer.setReachable(true);
  assert.equal((await driver.apply(plan)).revision, 1);
});
