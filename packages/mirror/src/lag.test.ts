import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { SILENCE_MS, sealLog } from "./lag.ts";

test("lag is the age of the oldest version not yet visible, with what it holds", () => {
  const log = sealLog();
  log.add(10, { atMs: 1_000, bytes: 100 });
  log.add(11, { atMs: 1_500, bytes: 200 });
  log.add(12, { atMs: 2_000, bytes: 300 });
  const at = (visible: number) => log.lagOf(visible, { nowMs: 2_100, heardAtMs: 2_100 });
  assert.deepEqual(at(12), { lagMs: 0, lagVersions: 0, lagBytes: 0 });
  assert.deepEqual(at(11), { lagMs: 100, lagVersions: 1, lagBytes: 300 });
  assert.deepEqual(at(10), { lagMs: 600, lagVersions: 2, lagBytes: 500 });
  assert.deepEqual(at(0), { lagMs: 1_100, lagVersions: 12, lagBytes: 600 });
});

test("a silent shadow is as late as its silence is long, even when nothing was sealed", () => {
  const log = sealLog();
  log.add(1, { atMs: 0, bytes: 1 });
  assert.equal(log.lagOf(1, { nowMs: SILENCE_MS, heardAtMs: 0 }).lagMs, 0);
  assert.equal(log.lagOf(1, { nowMs: SILENCE_MS + 1, heardAtMs: 0 }).lagMs, SILENCE_MS + 1);
});

test("what has been forgotten only ever makes the lag look smaller, and never negative", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50), { minLength: 1, maxLength: 100 }), fc.nat(120), (gaps, visible) => {
      const [short, long] = [sealLog(8), sealLog(1_000)];
      let nowMs = 0;
      gaps.forEach((gap, index) => {
        nowMs += gap;
        for (const log of [short, long]) log.add(index + 1, { atMs: nowMs, bytes: 10 });
      });
      const times = { nowMs: nowMs + 5, heardAtMs: nowMs + 5 };
      const [kept, all] = [short.lagOf(visible, times), long.lagOf(visible, times)];
      assert.ok(kept.lagMs >= 0 && kept.lagMs <= all.lagMs);
      assert.equal(kept.lagVersions, all.lagVersions);
    }),
  );
});
