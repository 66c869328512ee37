import assert from "node:assert/strict";
import { test } from "node:test";
import { PPM, splitPpm } from "@understudy/model/share";
import fc from "fast-check";
import { bestWeights, WEIGHT_MAX } from "./weights.ts";

const POINT_PPM = PPM / 100;

function worst(weights: readonly number[], shares: readonly number[]): number {
  const sum = weights.reduce((all, weight) => all + weight, 0);
  return Math.max(...weights.map((weight, index) => Math.abs((weight / sum) * PPM - shares[index]!)));
}

test("a ratio of small integers is met exactly, with the smallest of them", () => {
  assert.deepEqual(bestWeights(splitPpm([2, 1])).weights, [2, 1]);
  assert.deepEqual(bestWeights(splitPpm([1, 1, 1])).weights, [1, 1, 1]);
  assert.deepEqual(bestWeights([PPM, 0]).weights, [1, 0]);
});

test("shares of nothing are weights of nothing", () => {
  assert.deepEqual(bestWeights([0, 0]), { weights: [0, 0], setPpm: [0, 0] });
  assert.deepEqual(bestWeights([]), { weights: [], setPpm: [] });
});

const sharesOfSome = fc
  .array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 8 })
  .filter((parts) => parts.some((part) => part > 0))
  .map(splitPpm);

test("weights stay in range and are never worse than rounding each share to a 256th", () => {
  fc.assert(
    fc.property(sharesOfSome, (shares) => {
      const { weights, setPpm } = bestWeights(shares);
      assert.ok(weights.every((weight) => Number.isInteger(weight) && weight >= 0 && weight <= WEIGHT_MAX));
      const naive = shares.map((share) => Math.round((share / Math.max(...shares)) * WEIGHT_MAX));
      assert.ok(worst(weights, shares) <= worst(naive, shares) + 1);
      assert.ok(Math.abs(setPpm.reduce((sum, share) => sum + share, 0) - PPM) <= weights.length);
    }),
  );
});

test("two servers are within 0.1 points of any share from 0.4 points up", () => {
  for (let share = 4000; share <= PPM / 2; share += 137) {
    assert.ok(
      worst(bestWeights([share, PPM - share]).weights, [share, PPM - share]) <= POINT_PPM / 10 + 1,
      `${share}`,
    );
  }
});
