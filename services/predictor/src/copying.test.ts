import assert from "node:assert/strict";
import { test } from "node:test";
import { ReplicationPhase, type ReplicationState } from "@understudy/wire/gen/replication";
import fc from "fast-check";
import { followCopy, NO_COPYING, readProgress } from "./copying.ts";
import { copyingState, START_MS } from "./fixtures.ts";

const MB = 1_000_000;

function ratesOf(states: readonly ReplicationState[]): number[] {
  let copying = NO_COPYING;
  return states.flatMap((state) => {
    const read = readProgress(state);
    assert.ok("progress" in read);
    const { bytesPerSecond, ...next } = followCopy(copying, read.progress);
    copying = next.copying;
    return bytesPerSecond ?? [];
  });
}

/** A word each 200 ms of a copy at so many bytes per second. */
const copyOf = (bytesPerSecond: number, words: number) =>
  Array.from({ length: words }, (_, word) => {
    const sinceMs = 200 * (word + 1);
    const atMs = START_MS + sinceMs;
    return copyingState((bytesPerSecond * sinceMs) / 1_000, { atMs, totalBytes: 1_000 * MB });
  });

test("a copy that keeps a fast link busy is measured about once a second", () => {
  const rates = ratesOf(copyOf(50 * MB, 16));
  assert.equal(rates.length, 3);
  for (const rate of rates) assert.ok(Math.abs(rate - 50 * MB) < 10, `${rate}`);
});

test("a copy that is over before it can be measured says nothing", () => {
  assert.deepEqual(ratesOf(copyOf(50 * MB, 5)), []);
  const over = { phase: ReplicationPhase.LIVE, atMs: START_MS + 2_000 };
  assert.deepEqual(ratesOf([...copyOf(5 * MB, 1), copyingState(60 * MB, over)]), []);
});

test("the last leap, which is not a whole one, is no measurement", () => {
  const totalBytes = 14 * MB;
  const words = [4, 4, 8, 8, 12, 12, 12].map((done, word) =>
    copyingState(done * MB, { atMs: START_MS + 1_000 * word, totalBytes }),
  );
  assert.deepEqual(ratesOf(words), [2 * MB]);
});

test("once all is sent, time goes by that is not the link's", () => {
  const totalBytes = 8 * MB;
  const words = [1, 8, 8, 8, 8].map((done, word) =>
    copyingState(done * MB, { atMs: START_MS + 1_000 * word, totalBytes }),
  );
  assert.deepEqual(ratesOf(words), []);
});

test("a link that stands still is as slow as the next leap says", () => {
  const words = [1, 1, 1, 1, 2, 2].map((done, word) =>
    copyingState(done * MB, { atMs: START_MS + 1_000 * word }),
  );
  assert.deepEqual(ratesOf(words), [MB / 4]);
});

test("bytes that leave in leaps of a whole buffer are measured from the end of one to the end of another", () => {
  for (const leapMs of [190, 420, 1_100]) {
    const words = Array.from({ length: 100 }, (_, word) => {
      const leaps = (200 * word) / leapMs;
      // A word in the middle of a leap: what is read for it takes a while.
      const done = Math.floor(leaps) + Math.min(1, (4 * (leaps % 1) * leapMs) / 420);
      return copyingState((1 + done) * 4 * MB, { atMs: START_MS + 200 * word, totalBytes: 1_000 * MB });
    });
    const rates = ratesOf(words);
    assert.ok(rates.length >= 7, `${leapMs}: ${rates.length}`);
    const truth = (1_000 * 4 * MB) / leapMs;
    for (const rate of rates.slice(1)) assert.ok(Math.abs(rate - truth) < 0.3 * truth, `${leapMs}: ${rate}`);
  }
});

test("another copy to the same instance is not the rest of the one before", () => {
  const first = copyingState(10 * MB, { atMs: START_MS });
  const restarted = copyingState(1 * MB, { atMs: START_MS + 1_000 });
  const recreated = copyingState(20 * MB, { atMs: START_MS + 1_000, incarnation: "b" });
  const earlier = copyingState(20 * MB, { atMs: START_MS - 1_000 });
  for (const other of [restarted, recreated, earlier]) assert.deepEqual(ratesOf([first, other]), []);
});

test("the size of the state outlives a mirror that does not say it", () => {
  const told = readProgress(copyingState(1, { atMs: START_MS, stateBytes: 7 }));
  const silent = readProgress(copyingState(2, { atMs: START_MS, stateBytes: 0 }));
  assert.ok("progress" in told && "progress" in silent);
  const { copying } = followCopy(NO_COPYING, told.progress);
  assert.equal(followCopy(copying, silent.progress).copying.stateBytes, 7);
});

test("what cannot be is refused with its reason", () => {
  const reasonFor = (change: (state: ReplicationState) => void) => {
    const state = copyingState(1, { atMs: START_MS });
    change(state);
    const read = readProgress(state);
    return "reason" in read ? read.reason : "";
  };
  assert.match(
    reasonFor((state) => (state.instance = "../x")),
    /"catalog\/\.\.\/x" is not named by DNS labels/,
  );
  assert.match(
    reasonFor((state) => (state.header!.resource = "")),
    /not named by DNS labels/,
  );
  assert.match(
    reasonFor((state) => (state.stateBytes = 2n ** 64n - 1n)),
    /catalog-2: 1844.* bytes, at most/,
  );
});

test("whatever a mirror says, a rate is a number above 0", () => {
  const uint64 = fc.bigInt({ min: 0n, max: 10n ** 15n });
  const words = fc.array(fc.tuple(uint64, uint64, uint64, fc.constantFrom("a", "b")), { maxLength: 40 });
  fc.assert(
    fc.property(words, (all) => {
      const states = all.map(([done, total, at, incarnation]) => {
        const state = copyingState(0, { atMs: 0, incarnation });
        [state.seedDoneBytes, state.seedTotalBytes, state.header!.time!.wallMs] = [done, total, at];
        return state;
      });
      for (const rate of ratesOf(states)) assert.ok(Number.isFinite(rate) && rate > 0, `${rate}`);
    }),
  );
});
