import assert from "node:assert/strict";
import { test } from "node:test";
import { simulateDemo } from "./policies.ts";

const BURSTS = { demand: "bursts", seed: 101 };

test("the same seed gives the same run", () => {
  assert.deepEqual(
    simulateDemo({ policy: "predictive" }, BURSTS),
    simulateDemo({ policy: "predictive" }, BURSTS),
  );
});

test("what stands always costs what it says: enough shadows never overload, one alone does all the time", () => {
  assert.deepEqual(simulateDemo({ policy: "static" }, BURSTS), { overloadSeconds: 0, shadowSeconds: 360 });
  assert.deepEqual(simulateDemo({ policy: "none" }, BURSTS), { overloadSeconds: 120, shadowSeconds: 120 });
});

test("a reactive opponent that holds longer costs more", () => {
  const held = (reactiveHoldMs: number) =>
    simulateDemo({ policy: "reactive", reactiveTarget: 0.8, reactiveHoldMs }, BURSTS).shadowSeconds;
  assert.ok(held(12_000) > held(0) + 20);
});
