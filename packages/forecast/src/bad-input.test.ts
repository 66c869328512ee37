/** Whatever a series does: forecasts stay finite and ordered, memory stays bounded, nothing is thrown. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createForecaster, type Forecaster } from "./forecaster.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

const STEP_MS = 1000;
const HOUR_MS = 3_600_000;
const OPTIONS = {
  stepMs: STEP_MS,
  horizons: [1, 5, 30],
  quantiles: [0.05, 0.5, 0.95, 0.99],
  covariates: ["rate", "size"],
};

type Sample = readonly [atMs: number, value: number, covariates?: readonly number[]];

const length = { minLength: 1, maxLength: 150 };
const ordinary = fc.double({ min: 0, max: 1000, noNaN: true });
const regular = (value: fc.Arbitrary<number>): fc.Arbitrary<Sample[]> =>
  fc.array(value, length).map((values) => values.map((one, step) => [step * STEP_MS, one] as const));
const after = (gapMs: fc.Arbitrary<number>): fc.Arbitrary<Sample[]> =>
  fc.array(fc.tuple(gapMs, ordinary), length).map((steps) => {
    let atMs = 0;
    return steps.map(([gap, value]) => {
      atMs += gap;
      return [atMs, value] as const;
    });
  });

const CASES: Readonly<Record<string, fc.Arbitrary<Sample[]>>> = {
  empty: fc.constant([]),
  "one sample": ordinary.map((value) => [[0, value] as const]),
  constant: fc
    .tuple(ordinary, fc.integer({ min: 2, max: 300 }))
    .map(([value, count]) => Array.from({ length: count }, (_, step) => [step * STEP_MS, value] as const)),
  negative: regular(fc.double({ min: -1e6, max: -1e-6, noNaN: true })),
  "not numbers": regular(
    fc.oneof(ordinary, fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY)),
  ),
  "out of order and repeated": after(fc.constantFrom(STEP_MS, 0, -3 * STEP_MS, STEP_MS / 2, 2 * STEP_MS)),
  "gaps of an hour": after(fc.constantFrom(STEP_MS, STEP_MS, STEP_MS, HOUR_MS)),
  "a clock that jumps": after(
    fc.oneof({ weight: 9, arbitrary: fc.constant(STEP_MS) }, fc.integer({ min: -1e12, max: 1e12 })),
  ),
  "a step that changes": after(fc.integer({ min: 1, max: 20_000 })),
  "a covariate that vanishes": fc
    .tuple(fc.array(ordinary, length), fc.nat(100))
    .map(([values, until]) =>
      values.map(
        (value, step): Sample =>
          step < until
            ? [step * STEP_MS, value, [2 * value, step % 7]]
            : [step * STEP_MS, value, [Number.NaN]],
      ),
    ),
  "values of 1e12": regular(
    fc.oneof(ordinary, fc.double({ min: -1e12, max: 1e12, noNaN: true }), fc.constant(1e12)),
  ),
  "values of 1e29": regular(fc.oneof(ordinary, fc.constantFrom(1e29, -1e29, 1e30))),
};

function assertSound(forecaster: Forecaster): void {
  const { horizons, scorecard } = forecaster.forecast();
  assert.equal(horizons.length, OPTIONS.horizons.length);
  for (const { mean, quantiles } of horizons) {
    for (const number of [mean, ...quantiles]) assert.ok(Number.isFinite(number), `${number}`);
    assert.deepEqual(
      quantiles,
      quantiles.toSorted((a, b) => a - b),
    );
  }
  const { probability, leadSteps } = forecaster.alarm();
  assert.ok(probability >= 0 && probability <= 1);
  assert.ok(leadSteps >= 0 && leadSteps <= 30);
  assert.ok(scorecard.refused >= 0);
}

for (const [name, samples] of Object.entries(CASES)) {
  test(`${name}: finite, ordered, bounded`, () => {
    fc.assert(
      fc.property(samples, fc.array(ordinary, { maxLength: 40 }), (bad, good) => {
        const forecaster = createForecaster(OPTIONS);
        const bytes = forecaster.snapshot().length;
        forecaster.setThreshold(500);
        for (const [atMs, value, covariates] of bad) {
          forecaster.observe(atMs, value, covariates);
          assertSound(forecaster);
        }
        const fromMs = (bad.at(-1)?.[0] ?? 0) + STEP_MS;
        for (const [step, value] of good.entries())
          forecaster.observe(fromMs + step * STEP_MS, value, [value, 1]);
        assertSound(forecaster);
        assert.equal(forecaster.snapshot().length, bytes);
      }),
      { numRuns: 40 },
    );
  });
}

test("a threshold that makes no sense raises no alarm and breaks none", () => {
  const forecaster = createForecaster(OPTIONS);
  for (const threshold of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0, 1e300]) {
    forecaster.setThreshold(threshold);
    for (let step = 0; step < 40; step += 1) forecaster.observe(step * STEP_MS, 5 + (step % 3));
    assertSound(forecaster);
  }
});
