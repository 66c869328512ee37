import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { addJudged, readAlarmScores } from "./alarm-score.ts";
import { createForecaster } from "./forecaster.ts";
import { emptyState } from "./series.testing.ts";

test("of quiet ticks it says the part that had an alarm; a tick before an overload is no false alarm", () => {
  const state = emptyState();
  assert.deepEqual(readAlarmScores(state, 0), { quietTicks: 0, falseAlarmRate: Number.NaN });
  for (let tick = 0; tick < 100; tick += 1) addJudged(state, 0, { quiet: true, raised: tick % 20 === 0 });
  for (let tick = 0; tick < 50; tick += 1) addJudged(state, 0, { quiet: false, raised: true });
  const { quietTicks, falseAlarmRate } = readAlarmScores(state, 0);
  assert.equal(quietTicks, 100);
  assert.ok(Math.abs(falseAlarmRate - 0.05) < 0.001, `${falseAlarmRate}`);
});

test("what a forecaster says of its own false alarms is what one counts who sees what came", () => {
  const random = seededRandom(5);
  const [length, within, threshold] = [4_000, 10, 125];
  let level = 0;
  const values = Array.from({ length }, () => {
    level = 0.97 * level + random.normal();
    return 100 + 3 * level + 4 * random.normal();
  });
  const forecaster = createForecaster({
    stepMs: 1000,
    horizons: [1, 5, within],
    quantiles: [0.5, 0.95],
    falseAlarmBudget: 0.05,
  });
  forecaster.setThreshold(threshold);
  const raised = values.map((value, step) => {
    forecaster.observe(step * 1000, value);
    return forecaster.alarm().raised;
  });
  let [quiet, wrong] = [0, 0];
  for (let at = 0; at + within < length; at += 1) {
    if (values.slice(at, at + within + 1).some((value) => value > threshold)) continue;
    quiet += 1;
    if (raised[at]) wrong += 1;
  }
  const { quietTicks, falseAlarmRate } = forecaster.forecast().scorecard;
  assert.equal(quietTicks, quiet);
  assert.ok(Math.abs(falseAlarmRate - wrong / quiet) < 0.015, `${falseAlarmRate}, counted ${wrong / quiet}`);
});
