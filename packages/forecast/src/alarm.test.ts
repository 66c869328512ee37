import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "@understudy/testkit/random";
import { createForecaster } from "./forecaster.ts";

const HORIZONS = [1, 5, 10, 15];
const WITHIN = HORIZONS.at(-1)!;
const BUDGET = 0.05;

/** Whether the alarm stood after each sample. */
function alarms(values: readonly number[], threshold: number, budget = BUDGET) {
  const forecaster = createForecaster({
    stepMs: 1000,
    horizons: HORIZONS,
    quantiles: [0.5, 0.9, 0.95, 0.99],
    falseAlarmBudget: budget,
  });
  forecaster.setThreshold(threshold);
  return values.map((value, step) => {
    forecaster.observe(step * 1000, value);
    return forecaster.alarm();
  });
}

/** Every 60 s, give or take half a second, for 12 s. */
function bursts(random: Random, length: number): number[] {
  const starts = Array.from(
    { length: Math.ceil(length / 60) },
    (_, index) => 40 + 60 * index + 0.5 * random.normal(),
  );
  return Array.from({ length }, (_, at) => {
    const inside = starts.some((start) => at >= start && at < start + 12);
    return 100 + (inside ? 60 : 0) + 4 * random.normal();
  });
}

test("scheduled bursts are announced at least five steps ahead once their period is known", () => {
  const values = bursts(seededRandom(1), 3000);
  const raised = alarms(values, 130);
  let foreseen = 0;
  let events = 0;
  for (let at = 900; at < values.length; at += 1) {
    const begins = values[at]! > 130 && values.slice(at - 20, at).every((value) => value <= 130);
    if (!begins) continue;
    events += 1;
    if (raised.slice(at - WITHIN, at - 4).some((alarm) => alarm.raised)) foreseen += 1;
  }
  assert.ok(events >= 30 && foreseen >= 0.9 * events, `${foreseen} of ${events}`);
});

test("a ramp is announced ten steps ahead, seldom before its time, also when the threshold was told late", () => {
  const random = seededRandom(5);
  const shape = (step: number) => Math.max(0, Math.min(60, (step % 300) - 100, 280 - (step % 300)));
  const values = Array.from({ length: 6000 }, (_, step) => 100 + shape(step) + 3 * random.normal());
  const threshold = 150;
  const forecaster = createForecaster({ stepMs: 1000, horizons: HORIZONS, quantiles: [0.5, 0.95] });
  const raised = values.map((value, step) => {
    if (step === 2000) forecaster.setThreshold(threshold);
    forecaster.observe(step * 1000, value);
    return step >= 2000 && forecaster.alarm().raised;
  });
  let [events, foreseen, quiet, wrong] = [0, 0, 0, 0];
  for (let at = 2000; at < values.length - WITHIN; at += 1) {
    const ahead = values.slice(at, at + WITHIN + 1);
    if (ahead.every((value) => value <= threshold)) {
      quiet += 1;
      if (raised[at]) wrong += 1;
    }
    if (!(values[at]! > threshold) || values.slice(at - 50, at).some((value) => value > threshold)) continue;
    events += 1;
    if (raised.slice(at - WITHIN, at - 9).some(Boolean)) foreseen += 1;
  }
  assert.ok(events >= 12 && foreseen >= 0.7 * events, `${foreseen} of ${events}`);
  assert.ok(wrong / quiet < 0.02, `${wrong} of ${quiet}`);
});

test("the alarm stands in about the share of quiet time that it may", () => {
  const random = seededRandom(3);
  let level = 0;
  const values = Array.from({ length: 20_000 }, () => {
    level = 0.97 * level + random.normal();
    return 100 + 3 * level + 4 * random.normal();
  });
  const threshold = 125;
  const raised = alarms(values, threshold);
  let quiet = 0;
  let wrong = 0;
  for (let at = 1000; at < values.length - WITHIN; at += 1) {
    if (values.slice(at, at + WITHIN + 1).some((value) => value > threshold)) continue;
    quiet += 1;
    if (raised[at]!.raised) wrong += 1;
  }
  assert.ok(Math.abs(wrong / quiet - BUDGET) < 0.2 * BUDGET, `${wrong} of ${quiet}`);
});

test("what is above the threshold now is an alarm at once, whatever was spent", () => {
  const random = seededRandom(4);
  const values = Array.from({ length: 400 }, (_, at) => (at < 390 ? 100 : 160) + 4 * random.normal());
  const alarm = alarms(values, 130)[390]!;
  assert.deepEqual(
    {
      raised: alarm.raised,
      detector: alarm.detector,
      leadSteps: alarm.leadSteps,
      probability: alarm.probability,
    },
    { raised: true, detector: "reactive", leadSteps: 0, probability: 1 },
  );
});

test("without a threshold there is no alarm", () => {
  assert.ok(alarms([1, 2, 3], Number.NaN).every(({ raised, detector }) => !raised && detector === "none"));
});
