import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { combine, learnWeights, seat } from "./mixture.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

const EXPERTS = 4;
const LEARNING = { rate: 0.3, share: 0.001 };
const forecast = fc.double({ min: -1e6, max: 1e6, noNaN: true });
const awakeOrNot = fc.oneof({ weight: 4, arbitrary: forecast }, fc.constant(Number.NaN));
const experts = fc.array(awakeOrNot, { minLength: EXPERTS, maxLength: EXPERTS });

function mixed(weights: Float64Array, forecasts: readonly number[]): number {
  const all = Float64Array.of(...forecasts, 0);
  combine(weights, 0, all);
  return all.at(-1)!;
}

function even(count: number): Float64Array {
  return new Float64Array(count).fill(1 / count);
}

test("weights stay positive and add up to one, whoever sleeps", () => {
  fc.assert(
    fc.property(fc.array(experts, { maxLength: 60 }), (rounds) => {
      const weights = even(EXPERTS);
      for (const losses of rounds)
        learnWeights(weights, 0, { losses: Float64Array.from(losses, Math.abs), ...LEARNING });
      assert.ok(weights.every((weight) => weight > 0));
      assert.ok(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-9);
    }),
  );
});

test("the mixture lies between its experts", () => {
  fc.assert(
    fc.property(experts, (forecasts) => {
      const awake = forecasts.filter((value) => !Number.isNaN(value));
      const said = mixed(even(EXPERTS), forecasts);
      if (awake.length === 0) assert.ok(Number.isNaN(said));
      else assert.ok(said >= Math.min(...awake) - 1e-6 && said <= Math.max(...awake) + 1e-6);
    }),
  );
});

test("follows the best expert, and another one within some tens of steps of a change", () => {
  const weights = even(2);
  const forecasts = Float64Array.of(0, 10);
  const error = (truth: number) => Math.abs(mixed(weights, [...forecasts]) - truth);
  const learn = (truth: number) =>
    learnWeights(weights, 0, { losses: forecasts.map((one) => Math.abs(truth - one) / 2), ...LEARNING });
  for (let step = 0; step < 100; step += 1) learn(step % 2);
  assert.ok(error(0.5) < 1);
  for (let step = 0; step < 60; step += 1) learn(9 + (step % 2));
  assert.ok(error(9.5) < 1);
});

test("a seat gives the named experts their share at once", () => {
  const weights = even(EXPERTS);
  seat(weights, 0, { count: EXPERTS, first: 3, share: 0.9 });
  assert.ok(Math.abs(weights[3]! - 0.9) < 1e-12);
  assert.ok(Math.abs(weights[0]! - 0.1 / 3) < 1e-12);
});

test("what was learnt is not forgotten while all are equally right", () => {
  const weights = even(2);
  for (let step = 0; step < 100; step += 1)
    learnWeights(weights, 0, { losses: Float64Array.of(0, 1), ...LEARNING });
  const learnt = [...weights];
  assert.ok(learnt[0]! > 0.9);
  for (let step = 0; step < 10_000; step += 1)
    learnWeights(weights, 0, { losses: Float64Array.of(2, 2), ...LEARNING });
  for (const [i, weight] of learnt.entries()) assert.ok(Math.abs(weight - weights[i]!) < 1e-9);
});
