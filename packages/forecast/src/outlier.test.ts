import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { createForecaster } from "./forecaster.ts";

const STEP_MS = 1000;
const LEVELS = [0.5, 0.9, 0.95, 0.99];
const Q95 = LEVELS.indexOf(0.95);
const HORIZONS = [1, 5, 10];
const LEARNT = 600;
/** The forecast is back within so many steps. */
const BACK_WITHIN = 30;

const KINDS: Readonly<Record<string, (step: number, noise: number) => number>> = {
  noise: (_, noise) => 100 + 5 * noise,
  season: (step, noise) => 100 + (step % 40 < 10 ? 80 : 0) + 3 * noise,
  constant: () => 100,
  counts: (_, noise) => Math.max(0, Math.round(100 + 10 * noise)),
};

for (const [name, value] of Object.entries(KINDS)) {
  test(`one sample of 1,000 times the level does not keep the forecast high (${name})`, () => {
    const random = seededRandom(11);
    const forecaster = createForecaster({ stepMs: STEP_MS, horizons: HORIZONS, quantiles: LEVELS });
    const high = () => forecaster.forecast().horizons.map(({ quantiles }) => quantiles[Q95]!);
    const usual = HORIZONS.map(() => 0);
    for (let step = 0; step < LEARNT; step += 1) {
      forecaster.observe(step * STEP_MS, value(step, random.normal()));
      if (step >= LEARNT / 2) for (const [h, one] of high().entries()) usual[h] = Math.max(usual[h]!, one);
    }
    forecaster.observe(LEARNT * STEP_MS, 100_000);
    for (let step = LEARNT + 1; step <= LEARNT + 2 * BACK_WITHIN; step += 1) {
      forecaster.observe(step * STEP_MS, value(step, random.normal()));
      if (step < LEARNT + BACK_WITHIN) continue;
      for (const [h, one] of high().entries())
        assert.ok(
          one <= 2 * usual[h]!,
          `${step - LEARNT} steps after it, ${HORIZONS[h]} ahead: ${one}, usual at most ${usual[h]}`,
        );
    }
  });
}

test("a level that doubles for good is followed, with a season too, and after a long time of nothing", () => {
  const lasting: Record<string, { value: (step: number, noise: number) => number; level: number }> = {
    season: {
      value: (step, noise) => (step < LEARNT ? 1 : 2) * (1000 + 200 * Math.sin(step / 6)) + 10 * noise,
      level: 2000,
    },
    idle: { value: (step, noise) => (step < LEARNT ? 0 : 300 + 20 * noise), level: 300 },
  };
  for (const [name, { value, level }] of Object.entries(lasting)) {
    const random = seededRandom(12);
    const forecaster = createForecaster({ stepMs: STEP_MS, horizons: HORIZONS, quantiles: LEVELS });
    const means = HORIZONS.map(() => 0);
    let covered = 0;
    const settled = LEARNT + 2 * BACK_WITHIN;
    for (let step = 0; step < settled + 100; step += 1) {
      const now = value(step, random.normal());
      if (step >= settled) {
        for (const [h, { mean }] of forecaster.forecast().horizons.entries()) means[h]! += mean / 100;
        if (now <= forecaster.forecast().horizons[0]!.quantiles[Q95]!) covered += 1;
      }
      forecaster.observe(step * STEP_MS, now);
    }
    for (const mean of means) assert.ok(Math.abs(mean / level - 1) < 0.1, `${name}: ${mean} of ${level}`);
    assert.ok(covered >= 80, `${name}: ${covered} of 100 below the 0.95 quantile`);
  }
});
