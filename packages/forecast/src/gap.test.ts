import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import fc from "fast-check";
import {
  createForecaster,
  type Forecaster,
  GAP_CYCLES_MAX,
  GAP_STEPS_MAX,
  restoreForecaster,
} from "./forecaster.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

const STEP_MS = 1000;
const PERIOD = 40;
const OPTIONS = { stepMs: STEP_MS, horizons: [1, 5, 10], quantiles: [0.5, 0.9, 0.95, 0.99] };
const Q95 = 2;
const random = seededRandom(7);

/** 300 for a quarter of each cycle, 100 otherwise. */
const burst = (step: number): number => (step % PERIOD < PERIOD / 4 ? 300 : 100);

function feed(forecaster: Forecaster, { from, to, level = 1 }: { from: number; to: number; level?: number }) {
  for (let step = from; step < to; step += 1)
    forecaster.observe(step * STEP_MS, level * (burst(step) + 3 * random.normal()));
}

function learnt(steps = 20 * PERIOD): Forecaster {
  const forecaster = createForecaster(OPTIONS);
  forecaster.setThreshold(250);
  feed(forecaster, { from: 0, to: steps });
  assert.ok(Math.abs(forecaster.forecast().scorecard.periodSteps - PERIOD) <= 1);
  return forecaster;
}

test("a season outlives a long gap in its phase: the first sample after it is enough to foresee the next burst", () => {
  for (const gap of [600, 601, 613, 1_777, GAP_CYCLES_MAX * PERIOD - PERIOD]) {
    const forecaster = learnt();
    const first = 20 * PERIOD + gap;
    feed(forecaster, { from: first, to: first + 1 });
    const { ready, horizons } = forecaster.forecast();
    assert.equal(ready, true);
    for (const { steps, quantiles } of horizons) {
      const truth = burst(first + steps);
      const edge = burst(first + steps - 1) !== truth || burst(first + steps + 1) !== truth;
      if (!edge && steps > 1)
        assert.ok(
          Math.abs(quantiles[Q95]! - truth) < 60,
          `gap ${gap}, +${steps}: ${quantiles[Q95]}, came ${truth}`,
        );
    }
  }
});

test("bursts after a gap are foreseen as before it, and the quiet between them is quiet", () => {
  const forecaster = learnt();
  const first = 20 * PERIOD + 1_234;
  let [missed, raised, quiet] = [0, 0, 0];
  for (let step = first; step < first + 10 * PERIOD; step += 1) {
    feed(forecaster, { from: step, to: step + 1 });
    const high = forecaster.forecast().horizons[1]!.quantiles[Q95]! > 200;
    const comes = burst(step + 5) === 300;
    if (comes && burst(step + 3) === 300 && !high) missed += 1;
    if (!comes && burst(step + 7) === 100 && burst(step + 3) === 100) {
      quiet += 1;
      if (high) raised += 1;
    }
  }
  assert.ok(missed <= 4, `${missed} steps of bursts not foreseen`);
  assert.ok(raised <= 0.03 * quiet, `${raised} of ${quiet} quiet steps`);
});

test("nothing of before is said as of now: the level is that of the first sample after", () => {
  const noSeason = createForecaster(OPTIONS);
  for (let step = 0; step < 200; step += 1) noSeason.observe(step * STEP_MS, 100 + 3 * random.normal());
  noSeason.observe((200 + GAP_STEPS_MAX + 1) * STEP_MS, 900);
  assert.equal(noSeason.forecast().ready, false, "without a season it starts anew");

  const forecaster = learnt();
  const first = 20 * PERIOD + 1_010;
  feed(forecaster, { from: first, to: first + 20, level: 3 });
  const near = forecaster.forecast().horizons[0]!;
  const truth = 3 * burst(first + 20);
  assert.ok(Math.abs(near.quantiles[0]! - truth) < 60, `${near.quantiles[0]}, came ${truth}`);
  assert.equal(forecaster.forecast().scorecard.refused, 0);
});

test("an alarm does not stand over a gap, and no tick of before is judged after it", () => {
  const forecaster = createForecaster(OPTIONS);
  forecaster.setThreshold(250);
  feed(forecaster, { from: 0, to: 20 * PERIOD + 3 });
  assert.equal(forecaster.alarm().raised, true);
  const before = forecaster.forecast().scorecard.quietTicks;
  // In the middle of the quiet part.
  const first = 20 * PERIOD + 1_000 + PERIOD / 2;
  feed(forecaster, { from: first, to: first + 1 });
  assert.equal(forecaster.alarm().raised, false);
  feed(forecaster, { from: first + 1, to: first + OPTIONS.horizons.at(-1)! });
  assert.equal(forecaster.forecast().scorecard.quietTicks, before);
});

test("after a gap that is too long for its season a series starts anew", () => {
  const { gapStepsMax } = learnt().forecast().scorecard;
  assert.ok(gapStepsMax >= GAP_CYCLES_MAX * (PERIOD - 1));
  for (const [gap, ready] of [
    [gapStepsMax, true],
    [gapStepsMax + 1, false],
  ] as const) {
    const forecaster = learnt();
    const first = 20 * PERIOD - 1 + gap;
    feed(forecaster, { from: first, to: first + 1 });
    const { ready: isReady, scorecard } = forecaster.forecast();
    assert.deepEqual([isReady, scorecard.periodSteps > 0], [ready, ready], `gap ${gap}`);
  }
});

test("a season of which too little was seen since the last gap does not outlive the next", () => {
  const forecaster = learnt();
  const first = 20 * PERIOD + 1_000;
  feed(forecaster, { from: first, to: first + PERIOD });
  assert.equal(forecaster.forecast().scorecard.gapStepsMax, GAP_STEPS_MAX);
  feed(forecaster, { from: first + PERIOD + 1_000, to: first + PERIOD + 1_001 });
  assert.equal(forecaster.forecast().ready, false);
});

test("a season that is gone after the gap is dropped within a few cycles", () => {
  const forecaster = learnt();
  const first = 20 * PERIOD + 1_000;
  for (let step = first; step < first + 6 * PERIOD; step += 1)
    forecaster.observe(step * STEP_MS, 100 + 3 * random.normal());
  assert.equal(forecaster.forecast().scorecard.periodSteps, 0);
});

test("any series with any gaps stays finite, ordered, of one size, and its snapshot goes on bit for bit", () => {
  const gaps = fc.array(fc.tuple(fc.integer({ min: 0, max: 4_000 }), fc.integer({ min: 1, max: 120 })), {
    minLength: 1,
    maxLength: 6,
  });
  const start = learnt(6 * PERIOD).snapshot();
  fc.assert(
    fc.property(gaps, (parts) => {
      const forecaster = restoreForecaster(start);
      const { length } = forecaster.snapshot();
      let step = 6 * PERIOD;
      for (const [gap, count] of parts) {
        step += gap;
        const restored = restoreForecaster(forecaster.snapshot());
        for (const until = step + count; step < until; step += 1) {
          const value = burst(step) + 3 * random.normal();
          for (const one of [forecaster, restored]) one.observe(step * STEP_MS, value);
          assertSound(forecaster);
        }
        assert.deepEqual(restored.snapshot(), forecaster.snapshot());
      }
      assert.equal(forecaster.snapshot().length, length);
    }),
    { numRuns: 25 },
  );
});

function assertSound(forecaster: Forecaster): void {
  for (const { mean, quantiles } of forecaster.forecast().horizons) {
    for (const number of [mean, ...quantiles]) assert.ok(Number.isFinite(number) && number >= 0, `${number}`);
    assert.deepEqual(
      quantiles,
      quantiles.toSorted((a, b) => a - b),
    );
  }
  const { probability } = forecaster.alarm();
  assert.ok(probability >= 0 && probability <= 1);
}
