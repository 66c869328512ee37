import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { median, weightedMedian } from "./averages.ts";

test("the median of none is not a number, of an even number it is the upper one", () => {
  assert.equal(median([]), Number.NaN);
  assert.equal(median([4, 1, 3, 2]), 3);
});

test("a weighted median is where the sum of weighted distances is smallest", () => {
  const one = fc.record({ value: fc.integer({ min: -9, max: 9 }), weight: fc.integer({ min: 0, max: 5 }) });
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 12 }), (weighted) => {
      const found = weightedMedian(weighted);
      if (weighted.every(({ weight }) => weight === 0)) return assert.equal(found, Number.NaN);
      const distance = (at: number) =>
        weighted.reduce((sum, { value, weight }) => sum + weight * Math.abs(value - at), 0);
      for (const { value } of weighted) assert.ok(distance(found) <= distance(value));
    }),
  );
});
