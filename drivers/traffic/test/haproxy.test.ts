import assert from "node:assert/strict";
import { test } from "node:test";
import { SLOTS, trafficDriverContract } from "../src/contract.ts";
import { DriverError } from "../src/driver.ts";
import { startPool } from "./pool.ts";

for (const [name, across] of [
  ["HAProxy", {}],
  ["HAProxy across a network", { caller: "balancer" }],
] as const)
  trafficDriverContract(name, {
    // Three weights of at most 256 are within 0.1 points of any shares (haproxy/weights.test.ts).
    deviations: { setWithinPpm: 1_000, because: "HAProxy's weights are integers up to 256" },
    start: async () => {
      const pool = await startPool({ slots: SLOTS, ...across });
      return { open: pool.open, send: pool.send, locate: (name) => pool.origin(name), stop: pool.stop };
    },
  });

test("across a network, a certificate of our authority alone does not open the runtime API", async () => {
  const pool = await startPool({ slots: SLOTS, caller: "app-catalog" });
  const driver = pool.open();
  try {
    await assert.rejects(
      driver.read(),
      (error) => error instanceof DriverError && error.code === "unreachable",
    );
  } finally {
    await driver.close();
    await pool.stop();
  }
});
