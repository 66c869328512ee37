import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { take } from "./engine.ts";
import { chanceAbove, type Maximum, observeMaximum } from "./maximum.ts";
import { series, stateAfter } from "./series.testing.ts";

const HORIZONS = [1, 5, 15];
const WITHIN = HORIZONS.at(-1)!;

/** What was foreseen at each step from `from` on; the last tick's own is made once more, which changes nothing but weights. */
function foreseen(values: readonly number[], from: number): Maximum[] {
  const state = stateAfter(values.slice(0, from), HORIZONS);
  return values.slice(from).map((value) => {
    take(state, 0, value);
    const maximum: Maximum = { foreseen: 0, unit: 0, view: "value" };
    observeMaximum(structuredClone(state), 0, maximum);
    return maximum;
  });
}

const highest = (values: readonly number[], step: number) =>
  Math.max(...values.slice(step + 1, step + 1 + WITHIN));

test("of noise the highest of the next steps is foreseen, not the mean", () => {
  const random = seededRandom(1);
  const values = series(1200, () => 100 + 4 * random.normal());
  const off = foreseen(values, 1000).map(({ foreseen: said }, i) => highest(values, 1000 + i) - said);
  const bias = off.slice(0, -WITHIN).reduce((sum, one) => sum + one, 0) / (off.length - WITHIN);
  // The highest of 15 lies 1.7 deviations above the mean.
  assert.ok(Math.abs(bias) < 0.25 * 1.7 * 4, `${bias}`);
});

test("on a ramp it is foreseen where the ramp leads", () => {
  const random = seededRandom(2);
  const shape = (step: number) => Math.max(0, Math.min(60, (step % 300) - 100, 280 - (step % 300)));
  const values = series(2000, (step) => 100 + shape(step) + 2 * random.normal());
  const from = 1800 + 125;
  const said = foreseen(values.slice(0, from + 20), from);
  for (const [i, { foreseen: one }] of said.entries()) {
    const truth = 100 + shape(from + i + WITHIN);
    assert.ok(Math.abs(one - truth) < 12, `${one} for ${truth}`);
  }
});

test("a burst that the season brings is foreseen by the season", () => {
  const random = seededRandom(3);
  const values = series(
    2000,
    (step) => 100 + (step % 100 >= 60 && step % 100 < 75 ? 80 : 0) + random.normal(),
  );
  const [before] = foreseen(values.slice(0, 1951), 1950);
  assert.ok(Math.abs(before!.foreseen - 180) < 20, `${before!.foreseen}`);
  assert.equal(before!.view, "season");
});

test("the chance falls with the distance, from about even where the threshold is what is foreseen", () => {
  const state = stateAfter(series(200, (step) => step % 7));
  const chances = [-4, 0, 1, 4].map((units) => chanceAbove(state, 0, units));
  assert.equal(chances[1], 0.5);
  assert.deepEqual(
    chances,
    chances.toSorted((a, b) => b - a),
  );
});
