import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import fc from "fast-check";
import { readBatch } from "./batch.ts";
import { createCapacity, fitCapacity, type LoadSample } from "./capacity.ts";
import { exampleSpec, metricBatch, START_MS } from "./fixtures.ts";

const POLICY = {
  signals: ["busyWorkers", "cpuCores"],
  limits: { cpuCores: 1 },
  target: 0.8,
  initialRps: 150,
} as const;
const WORKERS = 8;
/** 40 ms of a worker and 1 ms of CPU for each request. */
const load = (rps: number, noise = 0): LoadSample => ({
  rps,
  signals: { busyWorkers: 0.04 * rps + noise, cpuCores: 0.05 + 0.001 * rps },
  workers: WORKERS,
});
const varied = Array.from({ length: 40 }, (_, i) => load(20 + 4 * i));

test("finds the rate at which the first signal reaches its target, and names it", () => {
  const capacity = fitCapacity(varied, POLICY);
  assert.equal(capacity.learned, true);
  assert.equal(capacity.bindingSignal, "busyWorkers");
  assert.ok(Math.abs(capacity.instanceRps - (0.8 * WORKERS) / 0.04) < 1e-6);
  assert.deepEqual(
    capacity.curves.map(({ signal, target }) => [signal, target]),
    [
      ["busyWorkers", 0.8 * WORKERS],
      ["cpuCores", 0.8],
    ],
  );
});

test("another signal binds where it is the scarce one", () => {
  const heavy = varied.map((sample) => ({
    ...sample,
    signals: { ...sample.signals, cpuCores: 0.006 * sample.rps },
  }));
  const capacity = fitCapacity(heavy, POLICY);
  assert.equal(capacity.bindingSignal, "cpuCores");
  assert.ok(Math.abs(capacity.instanceRps - 0.8 / 0.006) < 1e-6);
});

test("the first guess holds until load was seen at different rates and near enough to the limit", () => {
  const same = Array.from({ length: 60 }, () => load(100));
  const idle = Array.from({ length: 60 }, (_, i) => load(i / 10));
  const noise = seededRandom(1);
  const unrelated = varied.map((sample) => ({
    ...sample,
    signals: { busyWorkers: 7 * noise.next(), cpuCores: noise.next() },
  }));
  const neverAsked = Array.from({ length: 60 }, () => load(0));
  for (const samples of [[], varied.slice(0, 5), same, idle, unrelated, neverAsked]) {
    const { learned, instanceRps } = fitCapacity(samples, POLICY);
    assert.equal(learned, false);
    assert.equal(instanceRps, 150);
  }
});

test("one sample in five that is odd, slow or stuck hardly moves it", () => {
  fc.assert(
    fc.property(
      fc.integer(),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 200 }), fc.double({ min: 0, max: 8, noNaN: true })), {
        maxLength: 8,
      }),
      (seed, odd) => {
        const random = seededRandom(seed);
        const samples = varied.map(({ rps }) => load(rps, 0.2 * random.normal()));
        const outliers = odd.map(([rps, busy]) => ({ ...load(rps), signals: { busyWorkers: busy } }));
        const { instanceRps, learned } = fitCapacity([...samples, ...outliers], {
          ...POLICY,
          signals: ["busyWorkers"],
        });
        if (learned) assert.ok(instanceRps > 110 && instanceRps < 240, `${instanceRps}`);
      },
    ),
    { numRuns: 60 },
  );
});

test("saturated samples are left out: they show what was served, not what it costs", () => {
  const saturated = Array.from({ length: 30 }, () => ({
    ...load(120),
    signals: { busyWorkers: 8, cpuCores: 0.2 },
  }));
  const { instanceRps } = fitCapacity([...varied, ...saturated], POLICY);
  assert.ok(Math.abs(instanceRps - 160) < 1);
});

test("learns from ticks of 100 ms, and keeps what it learnt through a quiet time", () => {
  const capacity = createCapacity(exampleSpec().capacity);
  const random = seededRandom(5);
  let atMs = START_MS;
  const tick = (rps: number) => {
    atMs += 100;
    const servedPerSecond = Math.max(0, rps + Math.sqrt(10 * rps) * random.normal());
    const busyWorkers = Math.max(0, Math.min(8, Math.round(0.04 * rps + random.normal())));
    const row = {
      instance: "catalog-1",
      servedPerSecond,
      busyWorkers,
      workers: 8,
      queuedRequests: 0,
      cpuCores: 0.1,
    };
    const read = readBatch(metricBatch([row], { atMs }), atMs);
    assert.ok("batch" in read);
    capacity.observe(read.batch.rows[0]!, atMs);
  };
  for (let i = 0; i < 900; i += 1) tick(i % 300 < 100 ? 40 : 150);
  const learnt = capacity.view();
  assert.equal(learnt.learned, true);
  assert.ok(Math.abs(learnt.instanceRps - 160) < 20, `${learnt.instanceRps}`);
  for (let i = 0; i < 2000; i += 1) tick(1);
  assert.equal(capacity.view().learned, true);
});
