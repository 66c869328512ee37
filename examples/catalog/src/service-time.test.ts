import assert from "node:assert/strict";
import { test } from "node:test";
import { createServiceTime, seededRandom } from "./service-time.ts";

const DRAWS = 50_000;

function draws(seed: number, cold = false): number[] {
  const serviceTime = createServiceTime({ meanMs: 40, seed });
  return Array.from({ length: DRAWS }, () => serviceTime(cold));
}

test("the same seed gives the same service times", () => {
  assert.deepEqual(draws(7).slice(0, 100), draws(7).slice(0, 100));
  assert.notDeepEqual(draws(7).slice(0, 100), draws(8).slice(0, 100));
});

test("the mean is the one asked for, and twice that while cold", () => {
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  assert.ok(Math.abs(mean(draws(1)) - 40) < 0.5);
  assert.ok(Math.abs(mean(draws(1, true)) - 80) < 1);
});

test("a single request hardly ever reaches 200 ms by itself", () => {
  assert.ok(draws(3).filter((ms) => ms > 200).length / DRAWS < 0.001);
});

test("random numbers stay in [0, 1)", () => {
  const random = seededRandom(0xffff_ffff);
  for (let index = 0; index < 10_000; index += 1) {
    const value = random();
    assert.ok(value >= 0 && value < 1);
  }
});
