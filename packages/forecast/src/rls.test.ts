import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { createForecaster } from "./forecaster.ts";

const QUANTILES = [0.5, 0.95];

/** Mean absolute error of the next step over the second half. */
function errorOf(values: readonly number[], covariates?: readonly (readonly number[])[]): number {
  const forecaster = createForecaster({
    stepMs: 1000,
    horizons: [1],
    quantiles: QUANTILES,
    ...(covariates ? { covariates: ["rate"] } : {}),
  });
  let sum = 0;
  const half = Math.floor(values.length / 2);
  for (const [step, value] of values.entries()) {
    if (step >= half) sum += Math.abs(value - forecaster.forecast().horizons[0]!.mean);
    forecaster.observe(step * 1000, value, covariates?.[step]);
  }
  return sum / (values.length - half);
}

test("an alternating series is learnt from its lags, which no smoothing can", () => {
  const random = seededRandom(1);
  let last = 0;
  const values = Array.from({ length: 2000 }, () => {
    last = -0.8 * last + random.normal();
    return 100 + 10 * last;
  });
  // The innovations alone have a mean absolute value of 8; a constant gets 13.
  assert.ok(errorOf(values) < 9, `${errorOf(values)}`);
});

test("a covariate that runs ahead of the series makes the forecast better, and does no harm when it is noise", () => {
  const random = seededRandom(2);
  const leads = Array.from({ length: 2001 }, () => random.normal());
  const values = Array.from(
    { length: 2000 },
    (_, step) => 100 + 10 * (leads[step - 1] ?? 0) + random.normal(),
  );
  const useful = leads.slice(0, 2000).map((lead) => [50 + 5 * lead]);
  const useless = values.map(() => [random.normal()]);
  const without = errorOf(values);
  assert.ok(errorOf(values, useful) < 0.5 * without);
  assert.ok(errorOf(values, useless) < 1.03 * without);
});
