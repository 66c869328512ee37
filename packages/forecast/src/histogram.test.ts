import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import fc from "fast-check";
import { addScore, resetHistogram, scoreAt } from "./histogram.ts";
import { BINS } from "./plan.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

function histogramOf(scores: Iterable<number>, first = 0) {
  const histogram = { bins: new Float32Array(BINS), at: 0, first, weights: new Float64Array(2), weightAt: 0 };
  resetHistogram(histogram);
  for (const score of scores) addScore(histogram, score);
  return (level: number) => scoreAt(histogram, level);
}

test("quantiles rise with the level and stay finite, whatever the scores", () => {
  fc.assert(
    fc.property(fc.array(fc.double({ noNaN: true }), { maxLength: 80 }), (scores) => {
      const quantile = histogramOf(scores);
      const levels = [0.01, 0.1, 0.5, 0.9, 0.95, 0.99].map(quantile);
      assert.ok(levels.every(Number.isFinite));
      assert.deepEqual(
        levels,
        levels.toSorted((a, b) => a - b),
      );
    }),
  );
});

test("of normal scores the quantiles are those of the normal distribution", () => {
  const random = seededRandom(1);
  const quantile = histogramOf(Array.from({ length: 3000 }, () => random.normal()));
  for (const [level, z] of [
    [0.5, 0],
    [0.9, 1.282],
    [0.95, 1.645],
    [0.99, 2.326],
  ] as const) {
    assert.ok(Math.abs(quantile(level) - z) < 0.25, `${level}: ${quantile(level)}`);
  }
});

test("a score that is mostly exactly 0 has the quantile 0, to the digit", () => {
  const quantile = histogramOf(Array.from({ length: 1000 }, (_, index) => (index % 10 === 0 ? 3 : 0)));
  assert.equal(quantile(0.5), 0);
  assert.equal(quantile(0.8), 0);
  assert.ok(quantile(0.95) > 2);
});

test("forgets: after some hundred scores of another size the quantile is theirs", () => {
  const random = seededRandom(2);
  const quantile = histogramOf(
    Array.from({ length: 20_000 }, (_, index) => random.normal() * (index < 18_000 ? 1 : 4)),
  );
  assert.ok(quantile(0.95) > 5, `${quantile(0.95)}`);
});

test("bins that are not kept change nothing above them", () => {
  const random = seededRandom(3);
  const scores = Array.from({ length: 2000 }, () => 2 * random.normal());
  const [whole, upper] = [histogramOf(scores), histogramOf(scores, 17)];
  for (const level of [0.4, 0.5, 0.9, 0.99]) {
    assert.ok(Math.abs(upper(level) - whole(level)) < 1e-4, `${level}: ${upper(level)}, ${whole(level)}`);
  }
});
