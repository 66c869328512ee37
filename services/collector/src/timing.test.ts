/** Ticks that do not drift, and slow readings that delay nobody. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { LateReading } from "./late.ts";
import { everyTick } from "./tick.ts";

describe("ticks", { timeout: 10_000 }, () => {
  it("stay on the grid and leave out those that come too late", async () => {
    const stop = new AbortController();
    const startMs = performance.now();
    const seen: { index: number; atMs: number }[] = [];
    await everyTick(20, stop.signal, (index) => {
      seen.push({ index, atMs: performance.now() - startMs });
      // Once we are away for more than two ticks.
      while (seen.length === 5 && performance.now() - startMs < index * 20 + 50) Math.sqrt(2);
      if (seen.length === 20) stop.abort();
    });
    for (const [at, { index, atMs }] of seen.entries()) {
      assert.ok(index > (seen[at - 1]?.index ?? 0), "each index once, ascending");
      assert.ok(atMs >= index * 20 - 2, `tick ${index} came at ${atMs} ms`);
    }
    assert.ok(seen[5]!.index >= seen[4]!.index + 3, "those that were missed are left out");
  });

  it("end with the signal, also when that came first", async () => {
    await everyTick(1, AbortSignal.abort(), () => assert.fail("no tick"));
  });
});

describe("a late reading", () => {
  it("is given to one tick only, and nothing to a tick it did not reach", async () => {
    const gates: PromiseWithResolvers<number>[] = [];
    const errors: Error[] = [];
    const late = new LateReading(
      () => {
        const gate = Promise.withResolvers<number>();
        gates.push(gate);
        return gate.promise;
      },
      (error) => errors.push(error),
    );
    const first = late.start();
    assert.equal(late.take(), undefined);
    assert.equal(late.start(), first, "no second one while one is under way");
    gates[0]!.resolve(7);
    await first;
    assert.deepEqual([late.take(), late.take()], [7, undefined]);
    const second = late.start();
    gates[1]!.reject(new Error("away"));
    await second;
    assert.deepEqual([late.take(), errors.length, gates.length], [undefined, 1, 2]);
  });
});
