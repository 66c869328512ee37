import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { ForecastError } from "./error.ts";
import { createForecaster, type Forecaster, restoreForecaster } from "./forecaster.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

const OPTIONS = {
  stepMs: 1000,
  horizons: [1, 5, 15],
  quantiles: [0.5, 0.95],
  covariates: ["size"],
  falseAlarmBudget: 0.05,
};
const anyValue = fc.oneof(
  fc.integer({ min: 0, max: 100 }),
  fc.double(),
  fc.constantFrom(Number.NaN, 1e12, -3, 0.1),
);
const samples = fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), anyValue, anyValue), { maxLength: 150 });

/** Feeds samples whose times are `after` steps apart, from `fromMs` on; returns the last time. */
function feed(
  forecaster: Forecaster,
  some: readonly (readonly [number, number, number])[],
  fromMs: number,
): number {
  let atMs = fromMs;
  for (const [after, value, covariate] of some) {
    atMs += after * OPTIONS.stepMs;
    forecaster.observe(atMs, value, [covariate]);
  }
  return atMs;
}

function see(forecaster: Forecaster) {
  return { forecast: forecaster.forecast(), alarm: forecaster.alarm() };
}

test("a restored snapshot makes bit for bit the forecasts it would have made, now and later", () => {
  fc.assert(
    fc.property(samples, samples, (before, after) => {
      const original = createForecaster(OPTIONS);
      original.setThreshold(50);
      const atMs = feed(original, before, 0);
      const restored = restoreForecaster(original.snapshot());
      assert.deepEqual(see(restored), see(original));
      feed(original, after, atMs);
      feed(restored, after, atMs);
      assert.deepEqual(see(restored), see(original));
      assert.deepEqual(restored.snapshot(), original.snapshot());
    }),
    { numRuns: 60 },
  );
});

test("bytes at an odd place of a larger buffer are read as well", () => {
  const original = createForecaster(OPTIONS);
  original.observe(0, 5);
  const bytes = original.snapshot();
  const larger = new Uint8Array(bytes.length + 3);
  larger.set(bytes, 3);
  assert.deepEqual(see(restoreForecaster(larger.subarray(3))), see(original));
});

test("a corrupt, cut, foreign or empty snapshot is refused with a reason", () => {
  const forecaster = createForecaster(OPTIONS);
  feed(forecaster, [[1, 5, 0]], 0);
  const bytes = forecaster.snapshot();
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = bytes.slice();
      damaged[at] = damaged[at]! ^ flip;
      assert.throws(() => restoreForecaster(damaged), ForecastError);
    }),
    { numRuns: 60 },
  );
  const code = (wanted: string) => (error: unknown) =>
    error instanceof ForecastError && error.code === wanted;
  assert.throws(() => restoreForecaster(bytes.subarray(0, bytes.length - 1)), code("snapshot_corrupt"));
  assert.throws(() => restoreForecaster(new Uint8Array(0)), code("snapshot_corrupt"));
  assert.throws(
    () => restoreForecaster(new TextEncoder().encode("{ not a snapshot at all }")),
    code("snapshot_foreign"),
  );
});
