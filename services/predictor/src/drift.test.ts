import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import { type Drifted, driftOf, NO_DRIFT, watchDrift } from "./drift.ts";

/** Until the first alarm: after how many samples, and since when; undefined when there was none. */
function run(deviations: Iterable<number>): (Drifted & { samples: number }) | undefined {
  let state = NO_DRIFT;
  let index = 0;
  for (const deviation of deviations) {
    state = watchDrift(state, { deviation, index });
    index += 1;
    const drifted = driftOf(state);
    if (drifted) return { ...drifted, samples: index };
  }
  return undefined;
}

const noise = (seed: number, { count, shift = 0 }: { count: number; shift?: number }) => {
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => shift + random.normal());
};

test("noise alone raises hardly ever: eight hours of one instance, twenty times", () => {
  const raised = Array.from({ length: 20 }, (_, seed) => run(noise(seed, { count: 9_600 }))).filter(Boolean);
  // 192,000 samples: three are expected.
  assert.ok(raised.length <= 7, `${raised.length}`);
});

test("a change is found within few samples, the more so the larger it is, and in either direction", () => {
  for (const direction of [1, -1]) {
    for (const [shift, within] of [
      [2, 16],
      [4, 7],
      [20, 3],
    ] as const) {
      for (let seed = 0; seed < 20; seed += 1) {
        const found = run(noise(seed, { count: 100, shift: direction * shift }));
        assert.ok(found && found.samples <= within, `shift of ${shift}: ${found?.samples} samples`);
      }
    }
  }
});

test("it says where the change began", () => {
  for (let seed = 0; seed < 20; seed += 1) {
    const quiet = noise(seed, { count: 60 });
    const found = run([...quiet, ...noise(100 + seed, { count: 30, shift: 4 })]);
    assert.ok(found && Math.abs(found.since - 60) <= 12, `${found?.since}`);
  }
});

test("two odd samples raise nothing, however odd, nor do many that cancel out", () => {
  assert.equal(run([1e9, 1e9, 0, 0, 0, 0, 0, 0, 0, 0]), undefined);
  assert.equal(run(Array.from({ length: 1_000 }, (_, i) => (i % 2 === 0 ? 4 : -4))), undefined);
});
