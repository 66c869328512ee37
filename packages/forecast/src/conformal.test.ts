import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import fc from "fast-check";
import { createAdaptiveLevel, createScoreWindow } from "./conformal.ts";

test("the window holds the newest scores, and its quantiles lie among them and rise with the level", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -50, max: 50 }), { minLength: 1, maxLength: 80 }), (scores) => {
      const window = createScoreWindow(16);
      for (const score of scores) window.add(score);
      const kept = scores.slice(-16);
      assert.equal(window.size(), kept.length);
      assert.equal(window.quantile(-1), Math.min(...kept));
      assert.equal(window.quantile(2), Math.max(...kept));
      const levels = [0, 0.1, 0.5, 0.9, 0.95, 1].map(window.quantile);
      assert.deepEqual(
        levels,
        levels.toSorted((a, b) => a - b),
      );
    }),
  );
});

test("what is not finite is left out", () => {
  const window = createScoreWindow(4);
  for (const score of [1, Number.NaN, Number.POSITIVE_INFINITY, 1e300]) window.add(score);
  assert.equal(window.size(), 1);
});

test("of uniform scores the 0.9 quantile is about 0.9", () => {
  const random = seededRandom(1);
  const window = createScoreWindow();
  for (let i = 0; i < 1000; i += 1) window.add(random.next());
  assert.ok(Math.abs(window.quantile(0.9) - 0.9) < 0.06);
});

test("the level brings coverage to what was asked even when scores keep growing", () => {
  const random = seededRandom(2);
  const window = createScoreWindow();
  const level = createAdaptiveLevel(0.9);
  let covered = 0;
  const steps = 4000;
  for (let step = 0; step < steps; step += 1) {
    const score = random.normal() * (1 + step / 200);
    const isCovered = score <= window.quantile(level.level());
    covered += isCovered ? 1 : 0;
    level.learn(isCovered);
    window.add(score);
  }
  assert.ok(Math.abs(covered / steps - 0.9) < 0.01, `covered ${covered / steps}`);
});
