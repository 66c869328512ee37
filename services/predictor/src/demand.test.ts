import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import fc from "fast-check";
import { createDemand, horizonSteps, type Offered } from "./demand.ts";
import { START_MS } from "./fixtures.ts";

const POLICY = { stepMs: 1000, horizonMs: 6000, quantile: 0.95 };
const TICK_MS = 100;

function offered(atMs: number, rps: number, movable = 0.9): Offered {
  return {
    atMs,
    intervalMs: TICK_MS,
    readsPerSecond: movable * rps,
    writesPerSecond: (1 - movable) * rps,
    bytesPerSecond: 2000 * rps,
  };
}

/** Demand after `seconds` of ticks. */
function fed(seconds: number, rps: (second: number) => number, policy = POLICY) {
  const demand = createDemand(policy);
  for (let tick = 1; tick <= seconds * 10; tick += 1) {
    demand.observe(offered(START_MS + tick * TICK_MS, rps(tick / 10)));
  }
  return demand;
}

test("says what is asked now, movable and immovable, and how large a request is", () => {
  const { now } = fed(5, () => 300).view()!;
  assert.ok(Math.abs(now.movableRps - 270) < 1e-6);
  assert.ok(Math.abs(now.immovableRps - 30) < 1e-6);
  assert.ok(Math.abs(now.transactionBytes - 2000) < 1e-6);
});

test("what is asked now follows a step within 200 ms", () => {
  const demand = fed(5, () => 300);
  for (const tick of [51, 52]) demand.observe(offered(START_MS + tick * TICK_MS, 900));
  const { now } = demand.view()!;
  assert.ok(Math.abs(now.movableRps + now.immovableRps - 900) < 1e-6);
});

test("an alarm stands before a burst that comes every 20 s; without a threshold there is none", () => {
  const bursts = (second: number) => (second % 20 >= 10 && second % 20 < 16 ? 400 : 100);
  const demand = createDemand(POLICY);
  const [warned, quiet] = [new Set<number>(), { ticks: 0, raised: 0 }];
  for (let tick = 1; tick <= 4_000; tick += 1) {
    const second = tick / 10;
    demand.observe(offered(START_MS + tick * TICK_MS, bursts(second)), 250);
    const { alarm } = demand.view()!;
    const phase = second % 20;
    if (second < 200) continue;
    if (alarm.raised && phase >= 7 && phase < 10) warned.add(Math.floor(second / 20));
    if (phase >= 18 || phase < 2) {
      quiet.ticks += 1;
      quiet.raised += Number(alarm.raised);
    }
  }
  assert.ok(warned.size >= 9, `${warned.size} of 10 bursts were foreseen`);
  assert.ok(quiet.raised <= 0.05 * quiet.ticks, `${quiet.raised} false of ${quiet.ticks}`);
  assert.equal(fed(200, bursts).view()!.alarm.raised, false);
});

test("horizons say when their step begins, from the newest sample", () => {
  // The step that ends at 30 s is completed by the first sample after it.
  const at = (tick: number) => {
    const demand = fed(30, () => 300);
    for (let next = 301; next <= tick; next += 1) demand.observe(offered(START_MS + next * TICK_MS, 300));
    return demand.view()!.horizons.map(({ aheadMs }) => aheadMs);
  };
  assert.deepEqual(at(301), [0, 900, 1900, 2900, 3900, 4900, 5900]);
  assert.deepEqual(at(305), [0, 500, 1500, 2500, 3500, 4500, 5500]);
});

test("the forecast is split by the movable part of late", () => {
  const { horizons, levels, ready } = fed(60, () => 300).view()!;
  assert.equal(ready, true);
  for (const { totalRps, movableRps } of horizons) {
    assert.equal(totalRps.length, levels.length);
    for (const [i, total] of totalRps.entries()) assert.ok(Math.abs(movableRps[i]! - 0.9 * total) < 1e-6);
  }
});

test("the quantile that the policy asks for is among the levels", () => {
  assert.deepEqual(fed(1, () => 1, { ...POLICY, quantile: 0.8 }).view()!.levels, [0.5, 0.8, 0.9, 0.95, 0.99]);
  assert.deepEqual(fed(1, () => 1).view()!.levels, [0.5, 0.9, 0.95, 0.99]);
});

test("history begins with the first request: silence before it is no demand of zero", () => {
  const quiet = fed(100, () => 0).view()!;
  assert.equal(quiet.ready, false);
  assert.equal(quiet.scorecard.scored, 0);
});

test("bursts of every 30 s are foreseen from ticks of 100 ms", () => {
  const random = seededRandom(1);
  const burst = (second: number) => (second % 30 >= 15 && second % 30 < 26 ? 620 : 320);
  const noisy = (second: number) => burst(second) + Math.sqrt(burst(second) * 10) * random.normal();
  const q95 = (view: ReturnType<ReturnType<typeof fed>["view"]>) =>
    Math.max(...view!.horizons.map(({ totalRps }) => totalRps[2]!));
  // The burst begins at 75 s: 5 s before, and in the middle of the quiet.
  assert.ok(q95(fed(70, noisy).view()) > 550);
  assert.ok(q95(fed(62, noisy).view()) < 450);
});

test("the horizons reach as far as was asked, and are never many", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 50, max: 5000 }),
      fc.integer({ min: 100, max: 100_000 }),
      (stepMs, horizonMs) => {
        const steps = horizonSteps({ stepMs, horizonMs });
        assert.ok(steps.length <= 16);
        assert.equal(steps[0], 1);
        assert.ok((steps.at(-1)! - 1) * stepMs >= horizonMs);
        assert.ok(steps.every((step, i) => i === 0 || step > steps[i - 1]!));
      },
    ),
  );
});
