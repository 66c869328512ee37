/**
 * A transfer moves or ends with a clear error, whatever the path does. Both true ends run in simulated time over links
 * that lose (singly and in rows, both ways), repeat, delay, reorder by far more than a round trip and are cut, with
 * threads that are late and consumers that rest. UNDERSTUDY_FUZZ_CASES=10000 tries that many.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import fc from "fast-check";
import { STALL_MS_MAX } from "./sending.ts";
import { type WholeSetting, wholeTransfer } from "./simulation/whole.ts";

const CASES = Math.min(10_000, Number(process.env.UNDERSTUDY_FUZZ_CASES ?? 60));
const SEED = 20_261_124;
const END_MS = 600_000;
/** Nothing new for so long, beyond what cuts, rests and held packets explain: the bound of the property. */
const STILL_MS_MAX = 3_000;
const STILL_ROUND_TRIPS_MAX = 20;
const LATE_MACHINES = [
  { pauseEveryMs: 40, pauseMs: 6 },
  { pauseEveryMs: 400, pauseMs: 150 },
  { pauseEveryMs: 30, pauseMs: 60 },
];

const span = (spanMs: number) =>
  fc
    .tuple(fc.integer({ min: 200, max: 2_500 }), fc.integer({ min: 1, max: spanMs }))
    .map(([fromMs, ms]) => ({ fromMs, toMs: fromMs + ms }));
const maybe = <T>(value: fc.Arbitrary<T>) => fc.oneof(fc.constant(undefined), value);

type Case = Omit<WholeSetting, "random" | "endMs" | "blocks"> & { readonly seed: number };

const cases: fc.Arbitrary<Case> = fc
  .record({
    seed: fc.nat(),
    mbps: fc.integer({ min: 1, max: 200 }),
    delayMs: fc.integer({ min: 1, max: 80 }),
    queueMs: fc.constantFrom(10, 100, 400),
    loss: fc.constantFrom(0, 0.01, 0.05, 0.2, 0.4),
    backLoss: fc.constantFrom(0, 0.02, 0.3, 0.5),
    burst: fc.constantFrom(1, 1, 4, 12),
    jitters: fc.boolean(),
    disorder: fc.constantFrom(0, 0, 0.02, 0.3),
    heldMs: fc.constantFrom(1, 20, 200, 1_500),
    repeats: fc.constantFrom(0, 0.05),
    cut: maybe(span(4_000)),
    rest: maybe(span(8_000)),
    machine: maybe(fc.constantFrom(...LATE_MACHINES)),
    rttGuessMs: fc.constantFrom(1, 20, 300),
  })
  .map(({ backLoss, jitters, cut, rest, machine, seed, repeats, rttGuessMs, ...link }) => {
    const there = { ...link, jitterMs: jitters ? link.delayMs / 2 : 0 };
    return {
      seed,
      there,
      back: { ...there, loss: backLoss },
      cuts: cut ? [cut] : [],
      rests: rest ? [rest] : [],
      repeats,
      rttGuessMs,
      ...(machine && { machine }),
    };
  });

test("a transfer moves or ends with a clear error, whatever the path does", () => {
  fc.assert(
    fc.property(cases, ({ seed, ...setting }) => {
      const { there, cuts = [], rests = [] } = setting;
      const blocks = Math.max(2, Math.min(30, 2 * there.mbps));
      const run = wholeTransfer({ ...setting, random: seededRandom(seed).next, blocks, endMs: END_MS });
      assert.ok(run.isWhole || run.verdict, `neither whole nor ended: ${JSON.stringify(run)}`);
      if (there.burst === 1 && cuts.length === 0) assert.equal(run.verdict, undefined);
      const explainedMs =
        [...cuts, ...rests].reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0) + 2 * there.heldMs!;
      const roundTripMs = 2 * there.delayMs + there.queueMs;
      const mostMs = Math.max(STILL_MS_MAX, STILL_ROUND_TRIPS_MAX * roundTripMs) + explainedMs;
      assert.ok(run.stillMs <= mostMs, `still for ${run.stillMs} of ${mostMs} ms: ${JSON.stringify(run)}`);
    }),
    { seed: SEED, numRuns: CASES },
  );
});

const LINK = { mbps: 50, delayMs: 20, queueMs: 100 };

test("a path that begins to swallow large packets and goes on answering pings is given up by the watchdog", () => {
  const narrow = { fromMs: 500, bytes: 1_000 };
  const run = wholeTransfer({
    there: LINK,
    back: LINK,
    random: seededRandom(1).next,
    blocks: 200,
    endMs: END_MS,
    narrow,
  });
  assert.match(run.verdict?.reason ?? "", /no data has arrived/);
  assert.ok(run.tookMs < narrow.fromMs + STALL_MS_MAX + 1_000, `after ${run.tookMs} ms`);
});

test("a consumer that rests for long is no standstill, one that never takes anything again is", () => {
  const options = { there: LINK, back: LINK, blocks: 600, endMs: END_MS };
  const rests = (ms: number) => [{ fromMs: 1_000, toMs: 1_000 + ms }];
  const rested = wholeTransfer({ ...options, random: seededRandom(2).next, rests: rests(40_000) });
  assert.deepEqual([rested.isWhole, rested.verdict], [true, undefined]);
  const stopped = wholeTransfer({ ...options, random: seededRandom(3).next, rests: rests(1e9) });
  assert.match(stopped.verdict?.reason ?? "", /has taken nothing/);
});
