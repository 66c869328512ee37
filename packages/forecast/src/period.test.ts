import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { createHistory } from "./history.ts";
import { createPeriodSearch, PERIOD_MAX_STEPS, periodWindow } from "./period.ts";

/** The candidates of the scans that ended while `values` came in, one a step. */
function candidates(values: readonly number[]): number[] {
  const history = createHistory();
  const search = createPeriodSearch(history);
  const found: number[] = [];
  for (const value of values) {
    history.push(value);
    const candidate = search.step();
    if (candidate !== undefined) found.push(candidate);
  }
  return found;
}

function series(length: number, value: (step: number) => number): number[] {
  return Array.from({ length }, (_, step) => value(step));
}

test("finds a square wave from two cycles", () => {
  const found = candidates(series(62, (step) => (step % 30 < 11 ? 600 : 300)));
  assert.equal(found.at(-1), 30);
});

test("finds the period and not a multiple of it, under noise", () => {
  for (let seed = 1; seed <= 10; seed += 1) {
    const random = seededRandom(seed);
    const found = candidates(series(400, (step) => (step % 40 < 12 ? 600 : 300) + 20 * random.normal()));
    assert.ok(Math.abs(found.at(-1)! - 40) <= 1, `seed ${seed} found ${found.at(-1)}`);
  }
});

test("finds a long smooth period, a day of five minutes", () => {
  const random = seededRandom(7);
  const day = (step: number) => 100 + 50 * Math.sin((2 * Math.PI * step) / 288) + 5 * random.normal();
  const found = candidates(series(1500, day));
  assert.ok(Math.abs(found.at(-1)! - 288) <= 6, `found ${found.at(-1)}`);
});

test("finds nothing in noise, a ramp or a constant", () => {
  const random = seededRandom(3);
  const none: Record<string, (step: number) => number> = {
    noise: () => 300 + 20 * random.normal(),
    ramp: (step) => 10 * step,
    constant: () => 42,
  };
  for (const [name, value] of Object.entries(none)) {
    const believed = candidates(series(600, value)).filter((candidate) => candidate > 0);
    assert.deepEqual(believed, [], name);
  }
});

test("a scan of a full history is spread over many ticks, and its window is never longer than what is kept", () => {
  const found = candidates(series(6000, (step) => step % 97));
  assert.ok(found.length < 3000);
  assert.equal(periodWindow(PERIOD_MAX_STEPS, 2 * PERIOD_MAX_STEPS), PERIOD_MAX_STEPS);
  assert.equal(periodWindow(100, 140), 0);
});
