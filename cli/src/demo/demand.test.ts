import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { arrivals, BASE_UNITS, demandCurve, parseTrace, traceCurve } from "./demand.ts";

const PHASES = { learningMs: 60_000, scoredMs: 120_000, failoverMs: 20_000 };
const LENGTH_MS = 200_000;

function curveOf(kind: "bursts" | "ramp" | "steps", seed = 1, jitterMs = 300) {
  return demandCurve(kind, { phases: PHASES, jitterMs, seed });
}

function peaks(curve: (atMs: number) => number): number[] {
  const starts: number[] = [];
  for (let atMs = 100; atMs < LENGTH_MS; atMs += 100)
    if (curve(atMs - 100) < 2 && curve(atMs) >= 2) starts.push(atMs);
  return starts;
}

test("two bursts to learn from, four that are scored, none in the failover act", () => {
  const starts = peaks(curveOf("bursts"));
  assert.equal(starts.filter((atMs) => atMs < 60_000).length, 2);
  assert.equal(starts.filter((atMs) => atMs >= 60_000 && atMs < 180_000).length, 4);
  assert.equal(starts.length, 6);
  for (let atMs = 180_000; atMs < LENGTH_MS; atMs += 500) assert.equal(curveOf("bursts")(atMs), BASE_UNITS);
});

test("bursts come every 30 s but for their jitter, and rise in 1.5 s", () => {
  const exact = peaks(curveOf("bursts", 1, 0));
  assert.deepEqual(
    exact.map((atMs, index) => Math.round(atMs / 100) - 300 * index),
    exact.map(() => Math.round(exact[0]! / 100)),
  );
  const jittered = peaks(curveOf("bursts", 5, 300));
  assert.notDeepEqual(jittered, exact);
  for (const [index, atMs] of jittered.entries()) assert.ok(Math.abs(atMs - exact[index]!) < 1_500);
  const curve = curveOf("bursts", 1, 0);
  assert.equal(curve(15_000), BASE_UNITS);
  assert.equal(curve(16_500), BASE_UNITS + 1.5);
  assert.equal(curve(24_500), BASE_UNITS + 1.5);
  assert.equal(curve(26_000), BASE_UNITS);
});

test("every curve stays within what five instances could ever carry, and starts at the base", () => {
  for (const kind of ["bursts", "ramp", "steps"] as const) {
    const curve = curveOf(kind, 3);
    assert.equal(curve(0), BASE_UNITS);
    for (let atMs = 0; atMs < LENGTH_MS; atMs += 100)
      assert.ok(curve(atMs) >= 1 && curve(atMs) <= 3.1 + 1e-9);
  }
});

test("steps come where another seed has none", () => {
  const jumps = (seed: number) => {
    const curve = curveOf("steps", seed);
    return Array.from({ length: 1800 }, (_, i) => i * 100).filter(
      (atMs) => curve(atMs) !== curve(atMs + 100),
    );
  };
  assert.ok(jumps(1).length >= 7);
  assert.notDeepEqual(jumps(1), jumps(2));
});

test("the same seed draws the same arrivals, another seed others", () => {
  const draw = (seed: number) => arrivals(curveOf("bursts"), { ratePerUnit: 200, lengthMs: 20_000, seed });
  assert.deepEqual(draw(4), draw(4));
  assert.notDeepEqual(draw(4), draw(5));
});

test("arrivals follow the curve, in order, with a twentieth of writes", () => {
  const drawn = arrivals(curveOf("bursts", 1, 0), { ratePerUnit: 200, lengthMs: 60_000, seed: 9 });
  assert.ok(drawn.every((arrival, index) => index === 0 || arrival.atMs >= drawn[index - 1]!.atMs));
  const rate = (fromMs: number, toMs: number) =>
    (drawn.filter((a) => a.atMs >= fromMs && a.atMs < toMs).length / (toMs - fromMs)) * 1000;
  assert.ok(Math.abs(rate(0, 15_000) - 320) < 20);
  assert.ok(Math.abs(rate(16_500, 24_500) - 620) < 40);
  const writes = drawn.filter((a) => a.kind === "order" || a.kind === "view").length / drawn.length;
  assert.ok(Math.abs(writes - 0.05) < 0.01);
});

test("a trace keeps its shape at any speed, with the peak of the bursts", () => {
  const points = parseTrace("time,value\n0,0\n10,10\n20,5\n");
  const curve = traceCurve(points, { speed: 2, lengthMs: 10_000 });
  assert.equal(curve(5_000), 3.1);
  assert.equal(curve(2_500), 1.55);
  assert.equal(curve(99_000), 1.55);
});

test("a trace takes dates and several columns, and names the line it cannot read", () => {
  const points = parseTrace("timestamp,a,b\n2020-01-01T00:00:00Z,1,2\n2020-01-01T00:01:00Z,3,4\n");
  assert.deepEqual(
    points.map((point) => point.value),
    [2, 4],
  );
  assert.equal(points[1]!.atMs - points[0]!.atMs, 60_000);
  assert.throws(() => parseTrace("t,v\n0,1\n1,x\n"), /line 3/);
  assert.throws(() => parseTrace("t,v\n5,1\n1,2\n"), /line 3/);
  assert.throws(() => parseTrace("t,v\n5,1\n"), /fewer than two/);
});

test("any trace gives a finite demand that is never negative", () => {
  const pair = fc.tuple(fc.nat(1000), fc.nat(100_000));
  fc.assert(
    fc.property(fc.array(pair, { minLength: 2 }), fc.nat(100_000), (pairs, atMs) => {
      const lines = pairs.sort((a, b) => a[0] - b[0]).map(([at, value]) => `${at},${value}`);
      const units = traceCurve(parseTrace(lines.join("\n")), { speed: 3, lengthMs: 60_000 })(atMs);
      assert.ok(Number.isFinite(units) && units >= 0 && units <= 3.1 + 1e-9);
    }),
  );
});
