import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseSeries, timeMsOf } from "./csv.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

test("each column after the first is a series on a regular grid, holes are NaN", () => {
  const [cpu, memory] = parseSeries("time,cpu,memory\n100,1,10\n110,2,\n130,4,40\n140,5,50\n");
  assert.deepEqual([cpu?.name, memory?.name], ["cpu", "memory"]);
  assert.deepEqual([cpu?.stepMs, cpu?.startMs], [10_000, 100_000]);
  assert.deepEqual([...cpu!.values], [1, 2, Number.NaN, 4, 5]);
  assert.deepEqual([...memory!.values], [10, Number.NaN, Number.NaN, 40, 50]);
});

test("times are seconds, milliseconds or dates, rows come in any order, and headings may be missing", () => {
  assert.equal(timeMsOf("1424986973"), 1_424_986_973_000);
  assert.equal(timeMsOf("1424986973123"), 1_424_986_973_123);
  assert.equal(timeMsOf("2015-02-26T21:42:53Z"), 1_424_986_973_000);
  const [only] = parseSeries('20,2\n10,"1"\r\n30,3');
  assert.deepEqual([only?.name, [...only!.values]], ["value 1", [1, 2, 3]]);
});

test("of two rows with one time the later line counts, and a night without samples is shortened", () => {
  const [one] = parseSeries("t,v\n0,1\n1,2\n1,3\n2,4\n100000,5");
  assert.deepEqual([...one!.values.subarray(0, 3)], [1, 3, 4]);
  assert.equal(one!.values.length, 603);
  const [a, b] = parseSeries("t,a,b\n0,1,\n0,,5\n1,2,6");
  assert.deepEqual(
    [[...a!.values], [...b!.values]],
    [
      [1, 2],
      [5, 6],
    ],
    "an empty cell takes nothing away",
  );
});

test("what cannot be read is named with its line", () => {
  assert.throws(() => parseSeries("t,v\n0,1\nsoon,2"), /line 3: "soon" is no time/);
  assert.throws(() => parseSeries("t,v\n0,1\n1,high"), /line 3: "high" is no number/);
  assert.throws(() => parseSeries("t,v\n0,1\n1,2,3"), /line 3: 3 columns, wanted 2/);
  assert.throws(() => parseSeries("0\n1"), /line 1: 1 columns, wanted 2/);
  assert.throws(() => parseSeries("t,v\n5,1"), /fewer than two rows/);
  assert.throws(() => parseSeries("t,v\n5,1\n5,2"), /the same time/);
  assert.throws(() => parseSeries(""), /fewer than two rows/);
});

test("any text is either series of finite length or one RangeError", () => {
  const cell = fc.oneof(fc.double(), fc.string({ maxLength: 4 }), fc.constant(""));
  const line = fc.array(cell, { maxLength: 4 }).map((cells) => cells.join(","));
  fc.assert(
    fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
      try {
        for (const { values, stepMs } of parseSeries(lines.join("\n"))) {
          assert.ok(stepMs >= 1 && values.length >= 1 && values.length < 600 * 30 + 2);
        }
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
  );
});
