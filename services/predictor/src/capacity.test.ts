import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import fc from "fast-check";
import { readBatch } from "./batch.ts";
import { type Capacity, createCapacity, fitCapacity, fullInstanceRps } from "./capacity.ts";
import { exampleSpec, type Measured, metricBatch, START_MS } from "./fixtures.ts";
import type { LoadSample } from "./load-sample.ts";
import { rateAt, signalAt } from "./signal-curve.ts";

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
  bytesPerSecond: Number.NaN,
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
  const saturated = Array.from({ length: 80 }, () => ({
    ...load(120),
    signals: { busyWorkers: 8, cpuCores: 0.2 },
  }));
  const { instanceRps } = fitCapacity([...varied, ...saturated], POLICY);
  assert.ok(Math.abs(instanceRps - 160) < 1);
});

test("a signal whose limit nobody knows has a curve, and never binds", () => {
  const policy = { ...POLICY, signals: ["cpuCores", "memoryBytes"] } as const;
  const samples = varied.map((sample) => ({
    ...sample,
    signals: { ...sample.signals, memoryBytes: 5e7 + 1e6 * sample.rps },
  }));
  const unknown = fitCapacity(samples, policy);
  assert.equal(unknown.bindingSignal, "cpuCores");
  const memory = unknown.curves.find(({ signal }) => signal === "memoryBytes")!;
  assert.deepEqual([memory.target, memory.carriesRps], [Number.NaN, Number.NaN]);
  assert.ok(Math.abs(signalAt(memory, 100) - 1.5e8) < 1e4);
  const known = fitCapacity(samples, { ...policy, limits: { cpuCores: 1, memoryBytes: 2.5e8 } });
  assert.equal(known.bindingSignal, "memoryBytes");
  assert.ok(Math.abs(known.instanceRps - 150) < 0.1, `${known.instanceRps}`);
});

test("odd samples cannot bend the curve of a signal that is fitted, one in six of them", () => {
  fc.assert(
    fc.property(fc.integer(), fc.double({ min: 0, max: 0.9, noNaN: true }), (seed, oddCores) => {
      const random = seededRandom(seed);
      const samples = Array.from({ length: 60 }, (_, i) => {
        const rps = 20 + 2 * i;
        const cpuCores = i % 6 === 5 ? oddCores : 0.05 + 0.004 * rps + 0.01 * random.normal();
        return { ...load(rps), signals: { cpuCores } };
      });
      const { instanceRps, learned } = fitCapacity(samples, { ...POLICY, signals: ["cpuCores"] });
      if (learned) assert.ok(instanceRps > 150 && instanceRps < 230, `${instanceRps}`);
    }),
    { numRuns: 100 },
  );
});

test("what an instance carries when full follows the binding curve to its limit", () => {
  const capacity = fitCapacity(varied, POLICY);
  assert.ok(Math.abs(fullInstanceRps(capacity, POLICY.target) - WORKERS / 0.04) < 1e-6);
  assert.equal(fullInstanceRps(fitCapacity([], POLICY), 0.5), 300);
});

/** Ticks of 100 ms of one instance, whose signals follow its rate as `signals` says. */
function ticking(capacity: Capacity, signals: (rps: number) => Measured) {
  let atMs = START_MS;
  const random = seededRandom(5);
  return {
    /** A load for so long, as the predictor sees it: with the noise of requests that come by chance. */
    run(rps: number, seconds: number, becomes: (rps: number) => Measured = signals): void {
      for (let tick = 0; tick < 10 * seconds; tick += 1) {
        atMs += 100;
        const servedPerSecond = Math.max(0, rps + Math.sqrt(10 * rps) * random.normal());
        const row = {
          instance: "catalog-1",
          servedPerSecond,
          workers: 8,
          queuedRequests: 0,
          ...becomes(rps),
        };
        const read = readBatch(metricBatch([row], { atMs }), atMs);
        assert.ok("batch" in read);
        capacity.observe(read.batch.rows[0]!, atMs);
      }
    },
    random,
  };
}

test("learns from ticks of 100 ms, and keeps what it learnt through a quiet time", () => {
  const capacity = createCapacity(exampleSpec().capacity);
  const { run, random } = ticking(capacity, (rps) => ({
    busyWorkers: Math.max(0, Math.min(8, Math.round(0.04 * rps + random.normal()))),
    cpuCores: 0.1,
  }));
  for (let i = 0; i < 3; i += 1) {
    run(40, 10);
    run(150, 20);
  }
  const learnt = capacity.view();
  assert.equal(learnt.learned, true);
  assert.ok(Math.abs(learnt.instanceRps - 160) < 20, `${learnt.instanceRps}`);
  run(1, 500);
  assert.equal(capacity.view().learned, true);
  assert.ok(Math.abs(capacity.view().instanceRps - 160) < 30, `${capacity.view().instanceRps}`);
});

const CPU_ONLY = { ...POLICY, signals: ["cpuCores"] } as const;
const costing = (coresOfRequest: number) => (rps: number) => ({ cpuCores: 0.05 + coresOfRequest * rps });

/** After some minutes of changing load at 4 ms of CPU a request: 187 requests per second at the target. */
function experienced() {
  const capacity = createCapacity(CPU_ONLY);
  const ticks = ticking(capacity, costing(0.004));
  for (let i = 0; i < 6; i += 1) for (const rps of [40, 80, 120, 160]) ticks.run(rps, 6);
  assert.ok(Math.abs(capacity.view().instanceRps - 187) < 8, `${capacity.view().instanceRps}`);
  return { capacity, ...ticks };
}

test("requests that become twice as dear are noticed within 12 s, also when the load stays the same", () => {
  const { capacity, run } = experienced();
  run(100, 12, costing(0.008));
  const { instanceRps } = capacity.view();
  assert.ok(instanceRps > 70 && instanceRps < 110, `${instanceRps} and not about 94`);
  run(100, 120, costing(0.008));
  assert.ok(capacity.view().instanceRps < 110, "and are not forgotten");
  for (let i = 0; i < 5; i += 1) for (const rps of [30, 60, 90]) run(rps, 6, costing(0.008));
  const refitted = capacity.view().instanceRps;
  assert.ok(Math.abs(refitted - 94) < 5, `${refitted} once a curve is fitted to them`);
});

test("a slow minute passes: the capacity comes back as far as it was fitted, no further", () => {
  const { capacity, run } = experienced();
  const before = capacity.view().instanceRps;
  run(100, 60, costing(0.008));
  assert.ok(capacity.view().instanceRps < 110);
  run(100, 60);
  const { instanceRps } = capacity.view();
  assert.ok(Math.abs(instanceRps - before) < 15, `${before}, then ${instanceRps}`);
  run(100, 60, costing(0.002));
  assert.ok(capacity.view().instanceRps <= before * 1.01, `${before}, then ${capacity.view().instanceRps}`);
});

test("requests that become cheaper are believed when a curve is fitted to them, not before", () => {
  const { capacity, run } = experienced();
  run(140, 30, costing(0.002));
  assert.ok(capacity.view().instanceRps < 200, `${capacity.view().instanceRps}`);
  for (let i = 0; i < 6; i += 1) for (const rps of [60, 120, 180]) run(rps, 6, costing(0.002));
  assert.ok(capacity.view().instanceRps > 330, `${capacity.view().instanceRps}`);
});

test("a signal that is doubted is fitted again as soon as there are samples enough, whose turn it may be", () => {
  const signals = ["cpuCores", "memoryBytes", "networkReceiveBytesPerSecond", "busyWorkers"] as const;
  const all = (coresOfRequest: number) => (rps: number) => ({
    ...costing(coresOfRequest)(rps),
    memoryBytes: 1e8 + 1e6 * rps,
    networkReceiveBytesPerSecond: 1_000 * rps,
    busyWorkers: 0.01 * rps,
  });
  for (let turns = 0; turns < signals.length; turns += 1) {
    const capacity = createCapacity({ ...POLICY, signals });
    const { run } = ticking(capacity, all(0.004));
    for (let i = 0; i < 6; i += 1) for (const rps of [40, 80, 120, 160]) run(rps, 6);
    run(80, 6 * turns);
    for (const rps of [100, 60, 100, 60, 100, 60, 100, 60, 100]) run(rps, 6, all(0.008));
    const cpu = capacity.view().curves.find(({ signal }) => signal === "cpuCores")!;
    assert.ok(cpu.samples >= 15 && cpu.samples <= 18, `fitted to ${cpu.samples} samples since the change`);
    assert.ok(Math.abs(capacity.view().instanceRps - 94) < 10, `${capacity.view().instanceRps}`);
  }
});

test("a peak beyond what was seen is no drift, however wrong the curve is there: nothing is forgotten", () => {
  const capacity = createCapacity(CPU_ONLY);
  const { run } = ticking(capacity, (rps) => ({ cpuCores: 0.05 + 3e-7 * rps ** 3 }));
  const seconds = 6;
  for (let i = 0; i < 6; i += 1) for (const rps of [30, 60, 90]) run(rps, seconds);
  run(130, 2 * seconds);
  for (let i = 0; i < 3; i += 1) for (const rps of [30, 60, 90]) run(rps, seconds);
  assert.ok(capacity.view().curves[0]!.samples > 50, `${capacity.view().curves[0]!.samples}`);
});

test("one odd moment changes nothing", () => {
  const { capacity, run } = experienced();
  const before = capacity.view().instanceRps;
  run(100, 4, costing(0.009));
  run(100, 30);
  assert.ok(
    Math.abs(capacity.view().instanceRps - before) < 8,
    `${before}, then ${capacity.view().instanceRps}`,
  );
});

test("work that does not come from requests is no drift while an instance idles", () => {
  const { capacity, run } = experienced();
  const before = capacity.view().instanceRps;
  run(3, 300, () => ({ cpuCores: 0.09 }));
  assert.ok(
    Math.abs(capacity.view().instanceRps - before) < 8,
    `${before}, then ${capacity.view().instanceRps}`,
  );
});

test("whatever was seen, the capacity is where its curve reaches the target, and finite", () => {
  const anySample = fc
    .tuple(fc.double({ min: 0, max: 300, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }))
    .map(([rps, cpuCores]): LoadSample => ({ ...load(rps), signals: { cpuCores } }));
  fc.assert(
    fc.property(fc.array(anySample, { minLength: 15, maxLength: 40 }), (samples) => {
      const { instanceRps, curves, learned } = fitCapacity(samples, CPU_ONLY);
      assert.ok(Number.isFinite(instanceRps) && instanceRps > 0);
      if (learned) assert.ok(Math.abs(rateAt(curves[0]!, 0.8) - instanceRps) < 1e-6 * instanceRps);
    }),
  );
});
