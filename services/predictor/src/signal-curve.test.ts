import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "@understudy/testkit/random";
import type { LoadSample } from "./load-sample.ts";
import { dearer, fitSignal, isTelling, lineOf, rateAt, signalAt } from "./signal-curve.ts";

const POLICY = { signals: ["cpuCores"], limits: { cpuCores: 1 }, target: 0.8, initialRps: 100 } as const;
const WORKERS = 8;

type Truth = (rps: number, bytesPerSecond: number) => Record<string, number>;

/** Load that wanders up to `mostRps`; requests of 1 to 9 kB. */
function samplesOf(
  truth: Truth,
  { mostRps = 170, random }: { mostRps?: number; random: Random },
): LoadSample[] {
  return Array.from({ length: 120 }, (_, i) => {
    const rps = mostRps * (0.55 + 0.4 * Math.sin(i / 7)) * (1 + 0.02 * random.normal());
    const bytesPerSecond = rps * (5_000 + 4_000 * Math.sin(i / 11));
    return { rps, bytesPerSecond, signals: truth(rps, bytesPerSecond), workers: WORKERS };
  });
}

const fitCpu = (samples: readonly LoadSample[]) => fitSignal(samples, { signal: "cpuCores", policy: POLICY });
const fitBusy = (samples: readonly LoadSample[]) =>
  fitSignal(samples, { signal: "busyWorkers", policy: { ...POLICY, signals: ["busyWorkers"] } });

test("work that grows with the size of requests is a function of bytes, at the size of late", () => {
  const random = seededRandom(1);
  const samples = samplesOf((_, bytes) => ({ cpuCores: 1e-6 * bytes * (1 + 0.02 * random.normal()) }), {
    random,
  });
  const curve = fitCpu(samples)!;
  assert.equal(curve.regressor, "bytes");
  const late = samples.slice(-10);
  const bytesOf = (list: readonly LoadSample[]) =>
    list.reduce((sum, { bytesPerSecond }) => sum + bytesPerSecond, 0);
  const ratesOf = (list: readonly LoadSample[]) => list.reduce((sum, { rps }) => sum + rps, 0);
  const size = bytesOf(late) / ratesOf(late);
  assert.ok(Math.abs(curve.perRequest - size) < 1);
  assert.ok(Math.abs(curve.carriesRps - 0.8e6 / size) < 0.05 * (0.8e6 / size), `${curve.carriesRps}`);
  assert.ok(Math.abs(signalAt(curve, curve.carriesRps) - 0.8) < 1e-6);
});

test("requests that all have the same size, or sizes nobody measured, are counted, not weighed", () => {
  const random = seededRandom(2);
  const truth = (rps: number) => ({ cpuCores: 0.05 + 0.004 * rps * (1 + 0.02 * random.normal()) });
  const samples = samplesOf(truth, { random });
  for (const bytesOf of [(rps: number) => 3_000 * rps, () => Number.NaN]) {
    const curve = fitCpu(samples.map((one) => ({ ...one, bytesPerSecond: bytesOf(one.rps) })))!;
    assert.deepEqual([curve.regressor, curve.perRequest, curve.samples], ["requests", 1, 120]);
  }
  assert.equal(fitCpu(samples)?.regressor, "requests");
});

test("busy workers' line goes through the origin by Little's law, however noisy the rate", () => {
  for (let seed = 0; seed < 20; seed += 1) {
    const random = seededRandom(seed);
    const truth = samplesOf((rps) => ({ busyWorkers: 0.04 * rps + 0.2 * random.normal() }), { random });
    const noisy = truth.map((one) => ({ ...one, rps: one.rps * (1 + 0.1 * random.normal()) }));
    const curve = fitBusy(noisy)!;
    assert.equal(curve.family, "little");
    assert.equal(curve.coefficients[0], 0);
    assert.ok(Math.abs(curve.carriesRps - 160) < 8, `${curve.carriesRps}`);
  }
});

test("service times that grow with the load take the place of Little's line, those that fall do not", () => {
  const random = seededRandom(3);
  const congested = samplesOf(
    (rps) => ({ busyWorkers: 0.02 * rps * (1 + rps / 200) * (1 + 0.02 * random.normal()) }),
    { random },
  );
  const curve = fitBusy(congested)!;
  assert.equal(curve.family, "power");
  // 0.02 x (1 + x / 200) is 6.4 at 172 requests per second.
  assert.ok(Math.abs(curve.carriesRps - 172) < 12, `${curve.carriesRps}`);
  const relieved = samplesOf((rps) => ({ busyWorkers: 0.45 * Math.sqrt(rps) }), { random });
  assert.equal(fitBusy(relieved)?.family, "little");
});

test("a curve that flattens out promises no more than a straight line beyond what was seen", () => {
  const random = seededRandom(4);
  const samples = samplesOf((rps) => ({ cpuCores: 0.04 * Math.sqrt(rps) }), { mostRps: 60, random });
  const curve = fitCpu(samples)!;
  assert.equal(curve.family, "power");
  const [low, high] = [signalAt(curve, curve.from), signalAt(curve, curve.to)];
  const straight = curve.to + ((0.8 - high) * (curve.to - curve.from)) / (high - low);
  assert.ok(curve.carriesRps <= straight + 1e-6 && curve.carriesRps > curve.to, `${curve.carriesRps}`);
});

test("a curve of which too little was seen, or that explains too little, says nothing", () => {
  const random = seededRandom(5);
  const idle = fitCpu(samplesOf((rps) => ({ cpuCores: 0.001 * rps }), { random }))!;
  assert.equal(isTelling(idle), false);
  const vague = fitCpu(
    samplesOf((rps) => ({ cpuCores: 0.3 + 0.0005 * rps + 0.1 * random.normal() }), { random }),
  );
  assert.equal(isTelling(vague), false);
});

test("the line that stands for a curve touches it where it reaches its target", () => {
  const random = seededRandom(6);
  const curve = fitCpu(samplesOf((rps) => ({ cpuCores: 0.05 + 0.00003 * rps * rps }), { random }))!;
  assert.notEqual(curve.family, "robust");
  const { intercept, slope } = lineOf(curve);
  assert.ok(Math.abs(intercept + slope * curve.carriesRps - 0.8) < 1e-6);
  const nearby = curve.carriesRps * 0.999;
  assert.ok(Math.abs(intercept + slope * nearby - signalAt(curve, nearby)) < 1e-4);
});

test("dearer requests raise the whole curve", () => {
  const random = seededRandom(7);
  const curve = fitCpu(samplesOf((rps) => ({ cpuCores: 0.05 + 0.004 * rps }), { random }))!;
  const raised = dearer(curve, 2);
  assert.ok(Math.abs(signalAt(raised, 50) - 2 * signalAt(curve, 50)) < 1e-9);
  assert.ok(Math.abs(raised.carriesRps - rateAt(curve, 0.4)) < 1e-6);
});
