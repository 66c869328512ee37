import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createHistory } from "./history.ts";

test("keeps the newest samples and forgets the others, however many came", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -1000, max: 1000 }), { maxLength: 40 }),
      fc.integer({ min: 1, max: 12 }),
      (values, capacity) => {
        const history = createHistory(capacity);
        for (const value of values) history.push(value);
        const kept = values.slice(-capacity).reverse();
        assert.equal(history.length(), kept.length);
        assert.deepEqual(
          kept.map((_, ago) => history.at(ago)),
          kept,
        );
        assert.ok(Number.isNaN(history.at(kept.length)));
      },
    ),
  );
});

test("the change over a lag and the spread are what they say, across the seam of the ring", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 20, maxLength: 60 }),
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 8 }),
      (values, lag, window) => {
        const history = createHistory(16);
        for (const value of values) history.push(value);
        const newest = values.slice(-window);
        const before = values.slice(-window - lag, values.length - lag);
        const change = newest.reduce((sum, value, i) => sum + Math.abs(value - before[i]!), 0) / window;
        assert.ok(Math.abs(history.change(lag, window) - change) < 1e-6);
        const mean = newest.reduce((sum, value) => sum + value, 0) / window;
        const spread = newest.reduce((sum, value) => sum + Math.abs(value - mean), 0) / window;
        assert.ok(Math.abs(history.spread(window) - spread) < 1e-6);
      },
    ),
  );
});

test("what the history is too short for is not a number", () => {
  const history = createHistory();
  for (const value of [1, 2, 3]) history.push(value);
  assert.ok(Number.isNaN(history.change(2, 2)));
  assert.ok(Number.isNaN(history.spread(4)));
  assert.equal(history.change(1, 2), 1);
});
