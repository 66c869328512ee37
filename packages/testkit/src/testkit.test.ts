import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { TestkitError } from "./error.ts";
import { manualClock } from "./manual-clock.ts";
import { accepts, freePort } from "./ports.ts";
import { seededRandom } from "./random.ts";
import { waitFor } from "./wait.ts";

test("waiting returns the first truthy value", async () => {
  let asked = 0;
  const value = await waitFor(() => (++asked === 3 ? "here" : undefined), { withinMs: 5000, everyMs: 1 });
  assert.equal(value, "here");
  assert.equal(asked, 3);
});

test("waiting in vain names what was waited for and the last error", async () => {
  const vain = waitFor(() => Promise.reject(new Error("still down")), {
    withinMs: 20,
    everyMs: 1,
    what: "the server",
  });
  await assert.rejects(vain, (error: TestkitError) => {
    assert.equal(error.code, "timeout");
    assert.match(error.message, /the server did not come within 20 ms/);
    assert.equal((error.cause as Error).message, "still down");
    return true;
  });
});

test("a free port is free, below the outgoing range, and given once", async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, freePort));
  assert.equal(new Set(ports).size, ports.length);
  for (const port of ports) {
    assert(port < 32_768);
    assert.equal(await accepts(port), false);
  }
});

test("the same seed gives the same numbers, another seed others", () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 50 }, () => random.next());
  };
  fc.assert(fc.property(fc.nat(), (seed) => assert.deepEqual(draw(seed), draw(seed))));
  assert.notDeepEqual(draw(1), draw(2));
});

test("seeded numbers follow their distributions", () => {
  const random = seededRandom(7);
  const mean = (draw: () => number) =>
    Array.from({ length: 20_000 }, draw).reduce((sum, x) => sum + x, 0) / 20_000;
  assert(Math.abs(mean(random.next) - 0.5) < 0.01);
  assert(Math.abs(mean(random.normal)) < 0.03);
  assert(Math.abs(mean(() => random.normal() ** 2) - 1) < 0.05);
  assert(Math.abs(mean(() => random.exponential(40)) - 40) < 1.5);
});

test("integers stay in their range and picks in their list", () => {
  const ranges = fc.tuple(fc.nat(), fc.integer({ min: -1000, max: 1000 }), fc.integer({ min: 1, max: 1000 }));
  fc.assert(
    fc.property(ranges, ([seed, low, width]) => {
      const value = seededRandom(seed).integer(low, low + width);
      return Number.isInteger(value) && value >= low && value < low + width;
    }),
  );
  assert.throws(() => seededRandom(1).pick([]), RangeError);
});

test("a manual clock fires timers in order of their times, at their times", () => {
  const clock = manualClock({ nowMs: 1000, bootMs: 0 });
  const fired: string[] = [];
  clock.after(20, () => fired.push(`b at ${clock.bootMs()}`));
  clock.after(10, () => {
    fired.push(`a at ${clock.bootMs()}`);
    clock.after(5, () => fired.push(`a2 at ${clock.bootMs()}`));
  });
  const cancel = clock.after(15, () => fired.push("cancelled"));
  cancel();
  clock.advance(30);
  assert.deepEqual(fired, ["a at 10", "a2 at 15", "b at 20"]);
  assert.equal(clock.nowMs(), 1030);
});

test("stepping the wall clock moves no timer", () => {
  const clock = manualClock({ nowMs: 1000, bootMs: 0 });
  let fired = false;
  clock.after(10, () => {
    fired = true;
  });
  clock.stepWall(-500);
  assert.equal(clock.nowMs(), 500);
  assert.equal(fired, false);
  clock.advance(10);
  assert.equal(fired, true);
});
