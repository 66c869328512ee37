import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type CapacityView, fitCapacity } from "./capacity.ts";
import type { DemandAhead } from "./demand.ts";
import { utilisationAhead } from "./utilisation.ts";

const POLICY = {
  signals: ["busyWorkers", "cpuCores"],
  limits: { cpuCores: 1 },
  target: 0.8,
  initialRps: 150,
} as const;

/** 40 ms of one of 8 workers and 1 ms of CPU for each request: workers are scarcer above 25 requests per second. */
const CAPACITY = fitCapacity(
  Array.from({ length: 40 }, (_, i) => {
    const rps = 10 + 4 * i;
    const signals = { busyWorkers: 0.04 * rps, cpuCores: 0.1 + 0.001 * rps };
    return { rps, bytesPerSecond: Number.NaN, signals, workers: 8 };
  }),
  POLICY,
);

const ahead = (...totalRps: number[]): DemandAhead => ({ aheadMs: 0, meanRps: 0, totalRps, movableRps: [] });
const utilised = (horizon: DemandAhead, serving: number, capacity: CapacityView = CAPACITY) =>
  utilisationAhead([horizon], { capacity, serving, target: POLICY.target })[0]!;

test("a demand shared by all is so full an instance, by the signal that is the fullest", () => {
  const busy = utilised(ahead(100, 200, 400), 2);
  for (const [i, expected] of [0.25, 0.5, 1].entries())
    assert.ok(Math.abs(busy[i]! - expected) < 1e-9, `${busy}`);
  const [quiet] = utilised(ahead(20), 2);
  assert.ok(Math.abs(quiet! - 0.11) < 1e-9, `${quiet}: the processor is fuller`);
});

test("moving traffic changes nothing, more instances empty each of them, more demand fills them", () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 2_000, noNaN: true }), { minLength: 2, maxLength: 5 }),
      fc.integer({ min: 1, max: 20 }),
      (rates, serving) => {
        const horizon = ahead(...rates.sort((a, b) => a - b));
        const values = utilised(horizon, serving);
        assert.deepEqual(
          values,
          values.toSorted((a, b) => a - b),
        );
        for (const [i, value] of utilised(horizon, serving + 1).entries()) assert.ok(value <= values[i]!);
      },
    ),
  );
});

test("it is not said before a curve is learnt, nor while nobody serves", () => {
  assert.deepEqual(utilised(ahead(100), 0), []);
  assert.deepEqual(utilised(ahead(100), 2, fitCapacity([], POLICY)), []);
});
