import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { backtest } from "./backtest.ts";

const OPTIONS = {
  stepMs: 1_000,
  horizons: [1, 5, 15],
  warmUpPart: 0.3,
  threshold: undefined,
  falseAlarmBudget: 0.01,
  bandHorizon: 5,
};

/** A period of 40 steps that overloads at its top, with noise. */
function daily(length: number): Float64Array {
  const random = seededRandom(7);
  return Float64Array.from({ length }, (_, step) => {
    return 100 + 50 * Math.sin((2 * Math.PI * step) / 40) + 2 * random.normal();
  });
}

test("a series that repeats is foreseen far better than by its last value, and its period is found", () => {
  const { quantiles, periodSteps, scored } = flat(backtest(daily(4_000), OPTIONS));
  assert.equal(scored, 2_799);
  assert.ok(Math.abs(periodSteps - 40) <= 1 || periodSteps % 40 === 0, `period ${periodSteps}`);
  assert.ok(quantiles.errors[1]! < 0.3 * quantiles.lastValueErrors[1]!);
  assert.ok(quantiles.errors[2]! < 0.1 * quantiles.lastValueErrors[2]!);
});

test("the band at a step is what was foreseen for it, and most truths lie below its upper edge", () => {
  const values = daily(4_000);
  const { band, warmUpSteps } = backtest(values, OPTIONS);
  assert.ok(
    band.upper.subarray(0, OPTIONS.bandHorizon).every(Number.isNaN),
    "nothing was foreseen for the first",
  );
  let below = 0;
  for (let step = warmUpSteps; step < values.length; step += 1) {
    assert.ok(band.median[step]! <= band.upper[step]!);
    if (values[step]! <= band.upper[step]!) below += 1;
  }
  const part = below / (values.length - warmUpSteps);
  assert.ok(part > 0.92 && part < 0.98, `${part} below the 0.95 quantile`);
});

test("an overload that comes each period is foreseen, one above all that comes never is an event", () => {
  const values = daily(4_000);
  const { alarms } = backtest(values, { ...OPTIONS, threshold: 140 });
  assert.ok(alarms.events > 50 && alarms.foreseen[0]! >= 0.9 * alarms.events, JSON.stringify(alarms));
  const none = backtest(values, { ...OPTIONS, threshold: 1_000 });
  assert.deepEqual([none.alarms.events, none.alarms.falseTicks], [0, 0]);
});

test("holes and a series without a sample at all are no trouble", () => {
  const values = daily(1_000).map((value, step) => (step % 7 === 0 ? Number.NaN : value));
  assert.ok(backtest(values, OPTIONS).quantiles.errors.every(Number.isFinite));
  const empty = backtest(new Float64Array(500).fill(Number.NaN), OPTIONS);
  assert.equal(empty.quantiles.scored, 0);
});

test("a band of a horizon that is not forecast is refused", () => {
  assert.throws(() => backtest(daily(500), { ...OPTIONS, bandHorizon: 7 }), /none of the horizons/);
});

function flat({ quantiles, periodSteps }: ReturnType<typeof backtest>) {
  return { quantiles, periodSteps, scored: quantiles.scored };
}
