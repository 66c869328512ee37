import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createMixture } from "./mixture.ts";

const EXPERTS = 4;
const forecast = fc.double({ min: -1e6, max: 1e6, noNaN: true });
const awakeOrNot = fc.oneof({ weight: 4, arbitrary: forecast }, fc.constant(Number.NaN));
const round = fc.record({
  forecasts: fc.array(awakeOrNot, { minLength: EXPERTS, maxLength: EXPERTS }),
  truth: forecast,
});

test("weights stay positive and add up to one, whoever sleeps", () => {
  fc.assert(
    fc.property(fc.array(round, { maxLength: 60 }), (rounds) => {
      const mixture = createMixture(EXPERTS);
      for (const { forecasts, truth } of rounds) mixture.learn(Float64Array.from(forecasts), 0, truth);
      const weights = [0, 1, 2, 3].map(mixture.weight);
      assert.ok(weights.every((weight) => weight > 0));
      assert.ok(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-9);
    }),
  );
});

test("the mixture lies between its experts", () => {
  fc.assert(
    fc.property(round, ({ forecasts }) => {
      const awake = forecasts.filter((value) => !Number.isNaN(value));
      const mixed = createMixture(EXPERTS).combine(Float64Array.from(forecasts), 0);
      if (awake.length === 0) assert.ok(Number.isNaN(mixed));
      else assert.ok(mixed >= Math.min(...awake) - 1e-6 && mixed <= Math.max(...awake) + 1e-6);
    }),
  );
});

test("follows the best expert, and another one within some tens of steps of a change", () => {
  const mixture = createMixture(2);
  const error = (truth: number) => Math.abs(mixture.combine(Float64Array.of(0, 10), 0) - truth);
  for (let step = 0; step < 100; step += 1) mixture.learn(Float64Array.of(0, 10), 0, step % 2);
  assert.ok(error(0.5) < 1);
  for (let step = 0; step < 60; step += 1) mixture.learn(Float64Array.of(0, 10), 0, 9 + (step % 2));
  assert.ok(error(9.5) < 1);
});

test("a seat gives the named experts their share at once", () => {
  const mixture = createMixture(EXPERTS);
  mixture.seat(3, 0.9);
  assert.ok(Math.abs(mixture.weight(3) - 0.9) < 1e-12);
  assert.ok(Math.abs(mixture.weight(0) - 0.1 / 3) < 1e-12);
});
