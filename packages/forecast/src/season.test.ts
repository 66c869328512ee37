import assert from "node:assert/strict";
import { test } from "node:test";
import {
  adoptSeason,
  dropSeason,
  type Phase,
  passSeason,
  readPhase,
  seasonPeriod,
  seasonsDropped,
} from "./season.ts";
import { series, stateWithHistory } from "./series.testing.ts";
import type { State } from "./state.ts";

const PERIOD = 40;
const wave = (step: number): number => (step % PERIOD < 10 ? 100 : 0);

function seasonAfter(steps: number, value = wave): State {
  const state = stateWithHistory(series(steps, value));
  adoptSeason(state, 0, PERIOD);
  return state;
}

function phase(state: State, ahead: number): Phase {
  const into: Phase = { middle: 0, low: 0, high: 0, peak: 0, steep: false };
  readPhase(state, 0, { ahead, noise: 1, into });
  return into;
}

test("repeats the cycle from wherever it stands", () => {
  for (const steps of [80, 93, 120, 147]) {
    const state = seasonAfter(steps);
    for (let ahead = 1; ahead <= 2 * PERIOD; ahead += 1) {
      const { low, middle, high } = phase(state, ahead);
      assert.equal(middle, wave(steps - 1 + ahead));
      assert.ok(low <= middle && middle <= high);
    }
  }
});

test("the envelope rises a step before the burst and falls a step after it, two while only two cycles are known", () => {
  const risesBefore = (cycles: number) => {
    const state = seasonAfter(cycles * PERIOD);
    // The newest sample is the last of a cycle: the burst begins one step ahead of it.
    return [1, 2, 3].filter((before) => phase(state, PERIOD + 1 - before).high === 100).length;
  };
  assert.equal(risesBefore(2), 2);
  assert.equal(risesBefore(4), 1);
});

test("a missed sample moves the phase on and teaches nothing", () => {
  const state = seasonAfter(80);
  passSeason(state, 0);
  assert.equal(phase(state, 1).middle, wave(81));
});

test("a flat part is averaged over its neighbours, for a profile of few cycles is as noisy as its samples", () => {
  const { middle, steep, low, high } = phase(
    seasonAfter(80, (step) => step % 2),
    20,
  );
  assert.ok(Math.abs(middle - 0.5) <= 0.1);
  assert.equal(steep, false);
  assert.ok(low === middle && high === middle);
});

test("a season that is dropped is gone, and remembered as one that failed", () => {
  const state = seasonAfter(80);
  assert.equal(seasonPeriod(state, 0), PERIOD);
  dropSeason(state, 0);
  assert.equal(seasonPeriod(state, 0), 0);
  assert.equal(seasonsDropped(state, 0), 1);
});
