import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { change, decimate, historyAt, historyLength, spread } from "./history.ts";
import { HISTORY_STEPS } from "./plan.ts";
import { stateWithHistory } from "./series.testing.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

const whole = fc.array(fc.integer({ min: -1000, max: 1000 }), { minLength: 20, maxLength: 60 });
const few = fc.integer({ min: 1, max: 8 });

test("keeps the newest samples and forgets the others", () => {
  const state = stateWithHistory(Array.from({ length: HISTORY_STEPS + 5 }, (_, step) => step));
  assert.equal(historyLength(state, 0), HISTORY_STEPS);
  assert.equal(historyAt(state, 0, 0), HISTORY_STEPS + 4);
  assert.equal(historyAt(state, 0, HISTORY_STEPS - 1), 5);
});

test("the change over a lag and the spread are what they say, across the seam of the ring", () => {
  fc.assert(
    fc.property(whole, few, few, (values, lag, window) => {
      const state = stateWithHistory([...Array.from({ length: HISTORY_STEPS - 30 }, () => 0), ...values]);
      const newest = values.slice(-window);
      const before = values.slice(-window - lag, values.length - lag);
      const expected = newest.reduce((sum, value, i) => sum + Math.abs(value - before[i]!), 0) / window;
      assert.ok(Math.abs(change(state, 0, { lag, window }) - expected) < 1e-6);
      const mean = newest.reduce((sum, value) => sum + value, 0) / window;
      const deviation = newest.reduce((sum, value) => sum + Math.abs(value - mean), 0) / window;
      assert.ok(Math.abs(spread(state, 0, { window }) - deviation) < 1e-6);
    }),
    { numRuns: 30 },
  );
});

test("over blocks it is the means that are compared: noise that averages out is no change", () => {
  const state = stateWithHistory(Array.from({ length: 200 }, (_, step) => (step % 2 === 0 ? 1 : -1)));
  assert.equal(change(state, 0, { lag: 7, window: 80 }), 2);
  assert.equal(change(state, 0, { lag: 7, window: 80, block: 4 }), 0);
  assert.equal(spread(state, 0, { window: 80, block: 4 }), 0);
  const into = new Float32Array(16);
  assert.equal(decimate(state, 0, { block: 8, into }), 16);
  assert.deepEqual([...into], new Array(16).fill(0));
});

test("what the history is too short for is not a number", () => {
  const state = stateWithHistory([1, 2, 3]);
  assert.ok(Number.isNaN(change(state, 0, { lag: 2, window: 2 })));
  assert.ok(Number.isNaN(spread(state, 0, { window: 4 })));
  assert.equal(change(state, 0, { lag: 1, window: 2 }), 1);
});
