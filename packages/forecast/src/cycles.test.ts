import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { cyclesOf } from "./cycles.ts";
import { createForecaster } from "./forecaster.ts";

const MINUTE_MS = 60_000;
const DAY_STEPS = 288;
const STEP_MS = 300_000;
const AHEAD = 30;

test("cycles are the longest of the clock that a history holds twice", () => {
  assert.deepEqual(cyclesOf(100), [600, 0]);
  assert.deepEqual(cyclesOf(1000), [300, 60]);
  assert.deepEqual(cyclesOf(MINUTE_MS), [1440, 60]);
  assert.deepEqual(cyclesOf(STEP_MS), [DAY_STEPS, 12]);
  assert.deepEqual(cyclesOf(86_400_000), [0, 0]);
});

/** Mean error far ahead over the last of the days, in steps whose length makes the day a cycle of the clock or none. */
function errorOf(stepMs: number, swing: number): number {
  const random = seededRandom(7);
  const forecaster = createForecaster({ stepMs, horizons: [1, AHEAD], quantiles: [0.5, 0.95] });
  const days = 12;
  const values = Array.from(
    { length: days * DAY_STEPS },
    (_, step) => 100 + swing * Math.sin((2 * Math.PI * step) / DAY_STEPS) + 12 * random.normal(),
  );
  let [sum, count] = [0, 0];
  const said: number[] = [];
  for (const [step, value] of values.entries()) {
    forecaster.observe(step * stepMs, value);
    said.push(forecaster.forecast().horizons[1]!.quantiles[0]!);
    if (step < (days / 2) * DAY_STEPS) continue;
    sum += Math.abs(value - said[step - AHEAD]!);
    count += 1;
  }
  return sum / count;
}

test("a faint day is foreseen where the clock says that it is one", () => {
  const [byClock, without] = [errorOf(STEP_MS, 18), errorOf(STEP_MS * 1.37, 18)];
  assert.ok(byClock < 0.95 * without, `${byClock} beside ${without}`);
});

test("a day that is none costs next to nothing", () => {
  const [byClock, without] = [errorOf(STEP_MS, 0), errorOf(STEP_MS * 1.37, 0)];
  assert.ok(byClock < 1.01 * without, `${byClock} beside ${without}`);
});
