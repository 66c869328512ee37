import assert from "node:assert/strict";
import { test } from "node:test";
import type { PoolCounters } from "@understudy/traffic/driver";
import { verify } from "./verify.ts";

function counters(reads: Record<string, number>): PoolCounters {
  const zero = { writes: 0, errors: 0, inFlight: 0, bytesIn: 0, bytesOut: 0, readUp: true, writeUp: true };
  return {
    targets: Object.entries(reads).map(([instance, count]) => ({ instance, reads: count, ...zero })),
    readsOffered: 0,
    writesOffered: 0,
    queued: 0,
    errors: 0,
    bytesIn: 0,
    bytesOut: 0,
  };
}

const target = (instance: string, readPpm: number) => ({
  instance,
  address: "a:1",
  gateAddress: "",
  readPpm,
  writes: false,
  drain: false,
});
const IN_FORCE = {
  plan: { pool: "web", revision: 1, epoch: 1, targets: [target("a", 750_000), target("b", 250_000)] },
  applied: {
    revision: 1,
    epoch: 1,
    shares: [
      { instance: "a", setPpm: 750_000 },
      { instance: "b", setPpm: 250_000 },
    ],
  },
};

test("shares are measured on what was counted between two looks", () => {
  const { shares, worstPpm } = verify(IN_FORCE, {
    before: counters({ a: 1_000, b: 1_000 }),
    after: counters({ a: 1_070, b: 1_030 }),
  });
  assert.deepEqual(
    shares.map(({ measuredPpm }) => measuredPpm),
    [700_000, 300_000],
  );
  assert.equal(worstPpm, 50_000);
});

test("a few requests say nothing", () => {
  const { shares, worstPpm } = verify(IN_FORCE, {
    before: counters({ a: 0, b: 0 }),
    after: counters({ a: 10, b: 0 }),
  });
  assert.deepEqual(
    shares.map(({ measuredPpm }) => measuredPpm),
    [undefined, undefined],
  );
  assert.equal(worstPpm, 0);
});

test("counters that start again count for nothing, not for less than nothing", () => {
  const { shares } = verify(IN_FORCE, {
    before: counters({ a: 5_000, b: 100 }),
    after: counters({ a: 10, b: 200 }),
  });
  assert.deepEqual(
    shares.map(({ measuredPpm }) => measuredPpm),
    [0, 1_000_000],
  );
});
