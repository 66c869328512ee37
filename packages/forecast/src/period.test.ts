import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { findPeriods, periodWindow } from "./period.ts";
import { PERIOD_MAX_STEPS } from "./plan.ts";
import { push, series, stateWithHistory } from "./series.testing.ts";

test("finds a square wave from two cycles", () => {
  const state = stateWithHistory(series(62, (step) => (step % 30 < 11 ? 600 : 300)));
  assert.equal(findPeriods(state, 0).near, 30);
});

test("finds the period and not a multiple of it, under noise", () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const random = seededRandom(seed);
    const state = stateWithHistory(
      series(400, (step) => (step % 40 < 12 ? 600 : 300) + 20 * random.normal()),
    );
    const { near } = findPeriods(state, 0);
    assert.ok(Math.abs(near - 40) <= 1, `seed ${seed} found ${near}`);
  }
});

test("finds a day of five minutes and one of a minute, also where noise hides it from sample to sample", () => {
  for (const [period, noise] of [
    [288, 5],
    [288, 40],
    [1440, 5],
    [1440, 25],
  ] as const) {
    const random = seededRandom(7);
    const state = stateWithHistory(
      series(3200, (step) => 100 + 50 * Math.sin((2 * Math.PI * step) / period) + noise * random.normal()),
    );
    const { far } = findPeriods(state, 0);
    assert.ok(Math.abs(far - period) <= 0.03 * period, `found ${far} for ${period} under noise of ${noise}`);
  }
});

test("finds nothing in noise, a ramp or a constant", () => {
  const random = seededRandom(3);
  const none: Record<string, (step: number) => number> = {
    noise: () => 300 + 20 * random.normal(),
    ramp: (step) => 10 * step,
    constant: () => 42,
  };
  for (const [name, value] of Object.entries(none)) {
    const state = stateWithHistory([]);
    for (let step = 0; step < 600; step += 1) {
      push(state, value(step));
      assert.deepEqual(findPeriods(state, 0), { near: 0, far: 0 }, name);
    }
  }
});

test("the window of a loss is never longer than what is kept", () => {
  assert.equal(periodWindow(PERIOD_MAX_STEPS, 2 * PERIOD_MAX_STEPS), PERIOD_MAX_STEPS);
  assert.equal(periodWindow(100, 140), 0);
});
