import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { windowPush, writeWindowQuantiles } from "./sorted-window.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

const WIDTH = 9;

test("holds the newest samples in order of size, and its quantiles lie among them", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 60 }), (values) => {
      const sorted = new Float32Array(WIDTH + 2);
      for (const [index, value] of values.entries()) {
        const size = Math.min(index, WIDTH);
        windowPush(sorted, 0, { size, oldest: size === WIDTH ? values[index - WIDTH]! : Number.NaN, value });
      }
      const kept = values.slice(-WIDTH).toSorted((a, b) => a - b);
      assert.deepEqual([...sorted.subarray(0, kept.length)], kept);
      writeWindowQuantiles(sorted, 0, { size: kept.length, levels: [0, 1], into: WIDTH });
      assert.deepEqual([...sorted.subarray(WIDTH)], [kept[0], kept.at(-1)]);
    }),
  );
});
