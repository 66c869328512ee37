import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { allOf, createRateLimit, type RateLimit, type Traffic } from "./rate-limit.ts";

const RATE = 1_000_000;
const FRAME = 64 * 1024;

/** Sends frames of both kinds for so long, deltas at `deltaShare` of the rate, seeds whenever they may. */
function run(limit: RateLimit, clock: { nowMs: number }, options: { forMs: number; deltaShare: number }) {
  const sent = { delta: 0, seed: 0 };
  const waits: number[] = [];
  let dueMs: number | undefined;
  let nextMs = clock.nowMs;
  const endMs = clock.nowMs + options.forMs;
  const send = (kind: Traffic) => {
    limit.spend(FRAME);
    sent[kind] += FRAME;
  };
  for (; clock.nowMs < endMs; clock.nowMs += 1) {
    if (options.deltaShare > 0 && clock.nowMs >= nextMs) {
      dueMs ??= nextMs;
      if (limit.open("delta")) {
        waits.push(clock.nowMs - dueMs);
        dueMs = undefined;
        nextMs += FRAME / ((RATE / 1000) * options.deltaShare);
        send("delta");
      }
    }
    while (limit.open("seed")) send("seed");
  }
  return { sent, waits };
}

test("over seconds the rate holds, whatever is sent", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 3, noNaN: true }), (deltaShare) => {
      const clock = { nowMs: 0 };
      const limit = createRateLimit(RATE, () => clock.nowMs);
      const { sent } = run(limit, clock, { forMs: 20_000, deltaShare });
      const share = (sent.delta + sent.seed) / (RATE * 20);
      assert.ok(share > 0.95 && share < 1.07, `${share} of the rate at ${deltaShare}`);
    }),
    { seed: 4, numRuns: 50 },
  );
});

test("deltas go before seeds, which get what deltas leave", () => {
  const clock = { nowMs: 0 };
  const { sent, waits } = run(
    createRateLimit(RATE, () => clock.nowMs),
    clock,
    { forMs: 20_000, deltaShare: 0.5 },
  );
  assert.ok(Math.abs(sent.delta / (RATE * 20) - 0.5) < 0.02);
  assert.ok(Math.abs(sent.seed / (RATE * 20) - 0.5) < 0.05);
  // The clock goes by whole milliseconds.
  assert.ok(Math.max(...waits) < 1);
});

test("without a rate everything is open, and a new rate is in force at once", async () => {
  const clock = { nowMs: 0 };
  const limit = createRateLimit(undefined, () => clock.nowMs);
  limit.spend(10 ** 12);
  assert.ok(limit.open("seed"));
  limit.setRate(RATE);
  limit.spend(2 * FRAME);
  assert.equal(limit.open("seed"), false);
  assert.equal(limit.open("delta"), true);
  limit.spend(RATE);
  assert.equal(limit.open("delta"), false);
  limit.setRate(undefined);
  await limit.untilOpen("seed", new AbortController().signal);
});

test("what obeys two limits goes as fast as the slower one", () => {
  const clock = { nowMs: 0 };
  const [slow, fast] = [RATE, 10 * RATE].map((rate) => createRateLimit(rate, () => clock.nowMs));
  const both = { ...allOf([slow!, fast!]), setRate: () => undefined };
  const { sent } = run(both, clock, { forMs: 10_000, deltaShare: 0.2 });
  const share = (sent.delta + sent.seed) / (RATE * 10);
  assert.ok(share > 0.95 && share < 1.1, `${share}`);
});

test("who waits is let go by the signal", async () => {
  const limit = createRateLimit(1);
  limit.spend(10 * FRAME);
  const stop = new AbortController();
  const waiting = limit.untilOpen("seed", stop.signal);
  stop.abort();
  await waiting;
  assert.equal(limit.open("seed"), false);
});
