/** What a tick of the engine leaves for the garbage collector: with thousands of series all of them would wait for it. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { take } from "./engine.ts";
import { stateAfter } from "./series.testing.ts";

/** Until the compiler knows what is called often. */
const WARM_TICKS = 20_000;
/** Few enough that a collection falls into few of the rounds. */
const TICKS = 20;
const ROUNDS = 101;
const BYTES_PER_TICK_MAX = 512;

const value = (step: number): number => 100 + (step % 30 < 8 ? 60 : 0) + ((step * 7919) % 13) / 8;

/** Per tick, in the middle of the rounds: a collection within one makes it fall, something of Node's own makes it rise. */
function bytesPerTick(): number {
  const warm = Array.from({ length: WARM_TICKS }, (_, step) => value(step));
  const state = stateAfter(warm, [1, 5, 15, 30]);
  const grown: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const from = WARM_TICKS + round * TICKS;
    const before = process.memoryUsage().heapUsed;
    for (let step = from; step < from + TICKS; step += 1) take(state, 0, value(step));
    grown.push((process.memoryUsage().heapUsed - before) / TICKS);
  }
  return grown.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)]!;
}

test("a tick of a warm engine leaves next to nothing for the garbage collector", () => {
  const bytes = bytesPerTick();
  assert.ok(bytes < BYTES_PER_TICK_MAX, `${bytes.toFixed(0)} bytes per tick`);
});
