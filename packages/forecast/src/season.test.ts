import assert from "node:assert/strict";
import { test } from "node:test";
import { createHistory } from "./history.ts";
import { createSeason } from "./season.ts";

const PERIOD = 40;
const wave = (step: number) => (step % PERIOD < 10 ? 100 : 0);

function seasonAfter(steps: number) {
  const history = createHistory();
  for (let step = 0; step < steps; step += 1) history.push(wave(step));
  return createSeason(PERIOD, history);
}

test("repeats the cycle from wherever it stands", () => {
  for (const steps of [80, 93, 120, 147]) {
    const season = seasonAfter(steps);
    for (let ahead = 1; ahead <= 2 * PERIOD; ahead += 1) {
      const { low, middle, high } = season.phase(ahead, 1);
      assert.equal(middle, wave(steps - 1 + ahead));
      assert.ok(low <= middle && middle <= high);
    }
  }
});

test("the envelope rises a step before the burst and falls a step after it, two while only two cycles are known", () => {
  const risesBefore = (cycles: number) => {
    const season = seasonAfter(cycles * PERIOD);
    // The newest sample is the last of a cycle: the burst begins one step ahead of it.
    return [1, 2, 3].filter((before) => season.phase(PERIOD + 1 - before, 1).high === 100).length;
  };
  assert.equal(risesBefore(2), 2);
  assert.equal(risesBefore(4), 1);
});

test("a missed sample moves the phase on and teaches nothing", () => {
  const season = seasonAfter(80);
  season.skip();
  assert.equal(season.phase(1, 1).middle, wave(81));
});

test("a flat part is averaged over its neighbours, for a profile of few cycles is as noisy as its samples", () => {
  const history = createHistory();
  for (let step = 0; step < 80; step += 1) history.push(step % 2);
  const { middle, steep, low, high } = createSeason(PERIOD, history).phase(20, 1);
  assert.ok(Math.abs(middle - 0.5) <= 0.1);
  assert.equal(steep, false);
  assert.ok(low === middle && high === middle);
});
