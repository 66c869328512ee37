import assert from "node:assert/strict";
import { test } from "node:test";
import { arrivals, demandCurve } from "@understudy/cli/demo/demand";
import { always, foreseeing, reactive, simulate } from "./reactive-simulation.ts";

const PHASES = { learningMs: 30_000, scoredMs: 60_000, failoverMs: 0 };
const CURVE = demandCurve("bursts", { phases: PHASES, jitterMs: 300, seed: 1 });
const DRAWN = arrivals(CURVE, { ratePerUnit: 200, lengthMs: 90_000, seed: 1 });
const of = (scaler: Parameters<typeof simulate>[1]) => simulate(DRAWN, scaler, { phases: PHASES, seed: 1 });

test("the same input gives the same outcome", () => {
  assert.deepEqual(
    of(reactive({ target: 0.8, holdMs: 2_000 })),
    of(reactive({ target: 0.8, holdMs: 2_000 })),
  );
});

test("standing instances cost all the time, and enough of them never overload", () => {
  assert.deepEqual(of(always(4)), { overloadSeconds: 0, shadowSeconds: 180 });
  const two = of(always(2));
  assert.equal(two.shadowSeconds, 60);
  assert.ok(two.overloadSeconds > 20);
});

test("knowing the bursts beforehand harms less than reacting at the same cost", () => {
  const known = of(foreseeing(CURVE, { aheadMs: 5_000, holdMs: 2_000, target: 0.9, margin: 1.08 }));
  const reacted = of(reactive({ target: 0.8, holdMs: 2_000 }));
  assert.ok(known.overloadSeconds <= 1);
  assert.ok(reacted.overloadSeconds > 2 * known.overloadSeconds);
  assert.ok(known.shadowSeconds < of(always(4)).shadowSeconds);
});

test("a reaction helps, a longer hold costs more", () => {
  const short = of(reactive({ target: 0.8, holdMs: 0 }));
  const long = of(reactive({ target: 0.8, holdMs: 12_000 }));
  assert.ok(short.overloadSeconds < of(always(2)).overloadSeconds);
  assert.ok(long.shadowSeconds > short.shadowSeconds);
});
