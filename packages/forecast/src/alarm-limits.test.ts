import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import fc from "fast-check";
import { LIMITS, mark, markable, setLimits } from "./alarm-limits.ts";
import { ALARM_SCORES, MARKS } from "./plan.ts";
import { emptyState, push } from "./series.testing.ts";

/** The same cases in each run: a failure is one that somebody can look at. */
fc.configureGlobal({ seed: 1 });

const WITHIN = 5;
const UNIT = 2;

/** Marks as the engine makes them: scores in units above the newest value. */
function marked(values: readonly number[], scoresOf: (step: number) => readonly [number, number]) {
  const state = emptyState([1, WITHIN]);
  for (const [index, value] of values.entries()) {
    push(state, value);
    mark(state, 0, { unit: UNIT, scores: Float64Array.from(scoresOf(index), markable) });
  }
  return state;
}

function limitsOf(state: ReturnType<typeof emptyState>): number[] {
  const at = state.plan.at.marks + LIMITS;
  return [...state.numbers.subarray(at, at + ALARM_SCORES)];
}

test("of the quiet ticks as many exceed the limit as the budget says, whatever the threshold", () => {
  const random = seededRandom(1);
  const noise = Array.from({ length: 900 }, () => random.normal());
  const state = marked(
    Array.from({ length: 900 }, () => 100),
    (step) => [noise[step]!, -10],
  );
  for (const threshold of [101, 110, 1000]) {
    setLimits(state, 0, { threshold, budget: 0.05 });
    const limit = limitsOf(state)[0]! + (threshold - 100) / UNIT;
    const above = noise.filter((score) => score > limit).length;
    assert.ok(Math.abs(above - 0.05 * noise.length) <= 4, `${above} above at ${threshold}`);
  }
});

test("ticks before an exceedance are events, not quiet, and the score that foresees more of them is in force", () => {
  const isHigh = (step: number) => step % 100 >= 90;
  const values = Array.from({ length: 1000 }, (_, step) => (isHigh(step) ? 200 : 100));
  const before = (step: number) => !isHigh(step) && isHigh(step + 3);
  const state = marked(values, (step) => [0, before(step) ? 30 : 0]);
  setLimits(state, 0, { threshold: 150, budget: 0.01 });
  const [maximum, level] = limitsOf(state);
  assert.equal(maximum, Number.POSITIVE_INFINITY);
  assert.ok(level! >= (100 - 150) / UNIT && level! < 30 + (100 - 150) / UNIT, `${level}`);
});

test("where the value alone foresees more than what was forecast, it has the limit", () => {
  const phase = (step: number) => step % 100;
  // 140 comes before each exceedance and at no other time; the forecasts say the opposite.
  const values = Array.from({ length: 1000 }, (_, step) =>
    phase(step) >= 90 ? 200 : phase(step) >= 87 ? 140 : 100,
  );
  const against = (step: number) => (values[step] === 140 ? -50 : 0);
  const state = marked(values, (step) => [against(step), against(step)]);
  setLimits(state, 0, { threshold: 150, budget: 0.01 });
  const [maximum, level, value] = limitsOf(state);
  assert.deepEqual([maximum, level], [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
  assert.ok(value! >= 100 - 150 && value! < 140 - 150, `${value}`);
});

test("with few quiet ticks the limit is the threshold itself", () => {
  const state = marked([100, 100, 100, 100, 100, 100, 100, 100], () => [3, 3]);
  setLimits(state, 0, { threshold: 150, budget: 0.01 });
  assert.deepEqual(limitsOf(state), [0, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]);
});

test("beyond the marks the tail goes on: a tiny budget asks for more than was ever seen", () => {
  const random = seededRandom(2);
  const scores = Array.from({ length: 60 }, () => markable(random.normal()));
  const state = marked(
    scores.map(() => 100),
    (step) => [scores[step]!, -10],
  );
  setLimits(state, 0, { threshold: 100, budget: 0.001 });
  assert.ok(limitsOf(state)[0]! > Math.max(...scores.slice(0, -WITHIN)));
});

test("a ring that was thinned out speaks of the same steps as before", () => {
  const length = 3 * MARKS;
  // The score tells its own step, so that a mark that was moved to a wrong place would be seen.
  const values = Array.from({ length }, () => 0);
  const state = marked(values, (step) => [((step + 1) % 4096) / 64, -100]);
  setLimits(state, 0, { threshold: 0, budget: 0.5 });
  const middle = limitsOf(state)[0]!;
  assert.ok(Math.abs(middle - length / 2 / 64) < 1, `${middle}`);
});

test("limits are numbers for any series, marks and threshold", () => {
  const number = fc.double({ min: -1e12, max: 1e12, noNaN: true });
  fc.assert(
    fc.property(
      fc.array(fc.tuple(number, number, number), { maxLength: 300 }),
      number,
      fc.double({ min: 1e-4, max: 0.5, noNaN: true }),
      (rows, threshold, budget) => {
        const state = marked(
          rows.map(([value]) => value),
          (step) => [rows[step]![1], rows[step]![2]],
        );
        setLimits(state, 0, { threshold, budget });
        const limits = limitsOf(state);
        assert.ok(!limits.some(Number.isNaN));
        assert.equal(limits.filter(Number.isFinite).length, 1);
      },
    ),
    { numRuns: 50 },
  );
});
