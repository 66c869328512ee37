import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { createForecaster } from "./forecaster.ts";
import { SLOT } from "./plan.ts";
import { addOutcome, readScores } from "./scores.ts";
import { emptyState } from "./series.testing.ts";

test("each level counts the truths at or below its quantile, to the digit of single precision", () => {
  const state = emptyState();
  const slot = state.plan.in.slots;
  state.singles.fill(0, slot, slot + state.plan.slotWidth);
  state.singles.set([10, 20.1, 30, 40], slot + SLOT.quantiles);
  for (const value of [5, 10, 20.1, 35]) addOutcome(state, 0, { h: 0, steps: 1, slot, value });
  const { scored, coverage, coverage95 } = readScores(state, 0);
  assert.equal(scored, 4);
  for (const [q, part] of [0.5, 0.75, 0.75, 1].entries())
    assert.ok(Math.abs(coverage[q]! - part) < 1e-3, `${coverage}`);
  assert.equal(coverage95, coverage[2]);
});

test("before anything was scored nothing is said", () => {
  const { scored, coverage } = readScores(emptyState(), 0);
  assert.equal(scored, 0);
  assert.ok(coverage.length === 4 && coverage.every(Number.isNaN));
});

test("a forecaster's levels cover what they say, each one", () => {
  const random = seededRandom(8);
  const levels = [0.1, 0.5, 0.9, 0.95, 0.99];
  const forecaster = createForecaster({ stepMs: 1000, horizons: [1, 4], quantiles: levels });
  for (let step = 0; step < 4_000; step += 1) forecaster.observe(step * 1000, 300.5 + 20 * random.normal());
  const { coverage } = forecaster.forecast().scorecard;
  for (const [q, level] of levels.entries())
    assert.ok(Math.abs(coverage[q]! - level) < 0.02, `${level}: ${coverage[q]}`);
});
