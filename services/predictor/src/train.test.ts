import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { WHOLE } from "@understudy/model/shard";
import fc from "fast-check";
import { decide, INITIAL } from "./decide.ts";
import { exampleConfiguration, exampleSpec, metricBatch, START_MS } from "./fixtures.ts";
import { handOver } from "./hand-over.ts";
import { HELD_MS, heldSince, holdFolder, releaseFolder } from "./in-use.ts";
import { openLearntFiles, readLearnt } from "./learnt-files.ts";
import { type Recorded, train } from "./train.ts";

const SPEC = exampleSpec();
const POLICY = SPEC.forecast;
const PERIOD_MS = 60_000;
const HISTORY_MS = 1_200_000;

/** 400 for the first quarter of each minute of the clock, 100 otherwise. */
const burst = (atMs: number): number => (atMs % PERIOD_MS < PERIOD_MS / 4 ? 400 : 100);

/** What was recorded until START_MS: each sample a mean over the time before it. */
function recorded({ everyMs = 1_000, lengthMs = HISTORY_MS, rps = burst } = {}): Recorded[] {
  return Array.from({ length: Math.floor(lengthMs / everyMs) }, (_, index) => {
    const atMs = START_MS - lengthMs + (index + 1) * everyMs;
    return { atMs, rps: rps(atMs - everyMs / 2) };
  });
}

function trained(samples: readonly Recorded[], nowMs = START_MS) {
  return train(samples, { policy: POLICY, nowMs });
}

function dataFolder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "train-"));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

/** The prediction after `ticks` of 100 ms from `fromMs` on, by a predictor that starts with what lies in the folder. */
function startedIn(dataDir: string, { fromMs, ticks }: { fromMs: number; ticks: number }) {
  const recalled = openLearntFiles(dataDir, { shard: WHOLE, log: { warn: assert.fail } }).recall([SPEC]);
  const configured = { kind: "configured", configuration: exampleConfiguration(), recalled } as const;
  let state = decide(INITIAL, configured, fromMs).next;
  let last: ReturnType<typeof decide> | undefined;
  for (let tick = 1; tick <= ticks; tick += 1) {
    const atMs = fromMs + tick * 100;
    const rps = burst(atMs - 50);
    const message = metricBatch([{ readsPerSecond: rps, writesPerSecond: 0 }], { atMs });
    last = decide(state, { kind: "metrics", message }, atMs);
    state = last.next;
  }
  const effect = last!.effects.find(({ kind }) => kind === "predict");
  assert.ok(effect?.kind === "predict");
  return effect.prediction;
}

test("a predictor that starts ten minutes after the recording ended foresees the next burst from its first steps", async (t) => {
  const dir = dataFolder(t);
  const { demand } = trained(recorded());
  assert.equal(
    (await handOver(dir, { spec: SPEC, demand }, { nowMs: START_MS, replace: false })).handed,
    true,
  );
  // So that the newest whole step ends four seconds before a burst: by the clock, not by the last sample.
  const burstMs = Math.ceil((START_MS + 600_000) / PERIOD_MS) * PERIOD_MS;
  const { demand: view } = startedIn(dir, { fromMs: burstMs - 8_000, ticks: 41 });
  assert.equal(view.ready, true);
  const at95 = view.levels.indexOf(0.95);
  for (const { aheadMs, totalRps } of view.horizons) {
    const begins = burstMs - 3_900 + aheadMs - burstMs;
    if (begins >= 1_000) assert.ok(totalRps[at95]! > 330, `${aheadMs} ms ahead: ${totalRps[at95]}`);
    if (begins < -2_500) assert.ok(totalRps[at95]! < 200, `${aheadMs} ms ahead: ${totalRps[at95]}`);
  }
});

test("finer samples become means of the forecast's steps: they teach what their means teach", () => {
  const coarse = trained(recorded());
  const fine = trained(recorded({ everyMs: 100 }));
  assert.equal(fine.scorecard.periodSteps, PERIOD_MS / POLICY.stepMs);
  assert.equal(fine.scorecard.periodSteps, coarse.scorecard.periodSteps);
  assert.ok(Math.abs(fine.scorecard.scored - coarse.scorecard.scored) <= 16);
  assert.deepEqual([fine.everyMs, fine.samples], [100, HISTORY_MS / 100]);
});

test("it says what it saw and how long that holds", () => {
  const { samples, fromMs, untilMs, holdsUntilMs, repeated, scorecard } = trained(recorded());
  assert.deepEqual([samples, fromMs, untilMs], [1_200, START_MS - HISTORY_MS + 1_000, START_MS]);
  assert.equal(holdsUntilMs, START_MS + 64 * PERIOD_MS);
  assert.ok(repeated > 0.9);
  assert.ok(scorecard.scored > 7_000);
});

test("the order of samples does not matter, and of two with one time the later counts", () => {
  const samples = recorded({ lengthMs: 300_000 });
  const { demand } = trained(samples);
  const twice = trained([...samples.map(({ atMs }) => ({ atMs, rps: 7 })), ...samples.toReversed()]);
  assert.deepEqual(twice.demand.forecaster.snapshot(), demand.forecaster.snapshot());
  assert.equal(twice.samples, samples.length);
});

test("what cannot be learnt from is refused with the reason", () => {
  const minute = recorded({ lengthMs: 60_000 });
  const refused: [readonly Recorded[], RegExp][] = [
    [[], /fewer than two samples/],
    [minute.slice(0, 1), /fewer than two samples/],
    [
      recorded({ everyMs: 15_000 }),
      /each 15000 ms says nothing about steps of 1000 ms: .* forecast\.stepMs to 15000/,
    ],
    [recorded({ lengthMs: 10_000 }), /10 samples are too few/],
    [minute.with(3, { atMs: minute[3]!.atMs, rps: -1 }), /-1 is no demand/],
    [minute.with(3, { atMs: minute[3]!.atMs, rps: Number.POSITIVE_INFINITY }), /Infinity is no demand/],
  ];
  for (const [samples, why] of refused) assert.throws(() => trained(samples), why);
  assert.throws(() => trained(minute, START_MS - 60_000), /ahead of this machine's clock/);
});

test("whatever was recorded, it is learnt from or refused with a RangeError", () => {
  const sample = fc.record({
    atMs: fc.oneof(fc.integer({ min: 0, max: 200_000 }), fc.double()),
    rps: fc.double(),
  });
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 80 }), (samples) => {
      try {
        for (const number of trained(samples).demand.forecaster.forecast().horizons)
          assert.ok(Number.isFinite(number.mean));
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 200 },
  );
});

test("a predictor that runs is not written over, and one that was killed is waited for", async (t) => {
  const dir = dataFolder(t);
  const { demand } = trained(recorded({ lengthMs: 300_000 }));
  const nowMs = Date.now();
  const give = (replace = true) => handOver(dir, { spec: SPEC, demand }, { nowMs, replace });
  assert.equal(await heldSince(dir, nowMs), undefined);
  await holdFolder(dir, { index: 1, of: 2 });
  const refused = await give();
  assert.ok(!refused.handed && refused.why === "in use");
  assert.equal(readLearnt(dir, SPEC), undefined);
  const seconds = (nowMs - HELD_MS - 1) / 1_000;
  utimesSync(join(dir, "in-use", "predictor-1-of-2"), seconds, seconds);
  assert.equal((await give()).handed, true);
  await holdFolder(dir, WHOLE);
  await releaseFolder(dir, WHOLE);
  assert.equal((await give()).handed, true);
});

test("what a predictor has learnt itself is replaced only when asked for; its capacity stays", async (t) => {
  const dir = dataFolder(t);
  const { demand } = trained(recorded({ lengthMs: 300_000 }));
  const give = (replace: boolean) => handOver(dir, { spec: SPEC, demand }, { nowMs: START_MS, replace });
  assert.equal((await give(false)).handed, true);
  const again = await give(false);
  assert.ok(!again.handed && again.why === "learnt already");
  assert.equal((await give(true)).handed, true);
  const { learnt } = readLearnt(dir, SPEC)!;
  assert.deepEqual(learnt.capacity?.curves, []);
  assert.equal(learnt.demand?.parts.total, 0);
});

test("what is damaged or of another policy is no obstacle", async (t) => {
  const dir = dataFolder(t);
  const { demand } = trained(recorded({ lengthMs: 300_000 }));
  mkdirSync(join(dir, "learnt"));
  writeFileSync(join(dir, "learnt", "catalog.json"), "{}");
  const give = (spec = SPEC) => handOver(dir, { spec, demand }, { nowMs: START_MS, replace: false });
  assert.equal((await give()).handed, true);
  assert.equal((await give({ ...SPEC, forecast: { ...POLICY, quantile: 0.8 } })).handed, true);
});

test("a predictor says that it works in a folder, and at its end that it does no longer", async (t) => {
  const dir = dataFolder(t);
  const files = openLearntFiles(dir, { shard: WHOLE, log: { warn: assert.fail } });
  await files.hold();
  assert.notEqual(await heldSince(dir, Date.now()), undefined);
  await files.release();
  assert.equal(await heldSince(dir, Date.now()), undefined);
  await files.keep([], new Set());
  assert.notEqual(await heldSince(dir, Date.now()), undefined);
});
