import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seededRandom } from "@understudy/testkit/random";
import { type Candidate, chooseCurve, type Observation } from "./choose-curve.ts";
import { type Family, valueAt } from "./curve-shape.ts";

const FAMILIES: readonly Family[] = ["robust", "linear", "power", "polynomial"];
const OF_REQUESTS = FAMILIES.map((family): Candidate => ({ family, regressor: "requests" }));
const OF_BYTES = FAMILIES.map((family): Candidate => ({ family, regressor: "bytes" }));
const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

type Truth = (requests: number, bytes: number) => number;

/** Load that wanders, with requests of 1 to 9 kB. */
function observe(truth: Truth, { random, noise = 0.03 }: { random: Random; noise?: number }): Observation[] {
  return Array.from({ length: 128 }, (_, i) => {
    const requests = 85 + 70 * Math.sin(i / 7) + 5 * random.normal();
    const bytes = requests * (5_000 + 4_000 * Math.sin(i / 11));
    return { requests, bytes, value: Math.max(0, truth(requests, bytes) * (1 + noise * random.normal())) };
  });
}

function chosenOver(truth: Truth, candidates: readonly Candidate[], noise?: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const seed of SEEDS) {
    const seen = observe(truth, { random: seededRandom(seed), ...(noise !== undefined && { noise }) });
    const chosen = chooseCurve(seen, candidates)!;
    const name = `${chosen.shape.family} of ${chosen.regressor}`;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}

/** At least nine in ten, so that one seed decides nothing. */
function assertMostly(counts: ReadonlyMap<string, number>, names: readonly string[]): void {
  const hits = names.reduce((sum, name) => sum + (counts.get(name) ?? 0), 0);
  assert.ok(hits >= 0.9 * SEEDS.length, JSON.stringify([...counts]));
}

test("a line is chosen for what is one, with noise", () => {
  assertMostly(
    chosenOver((x) => 0.1 + 0.004 * x, OF_REQUESTS),
    ["robust of requests"],
  );
  assertMostly(
    chosenOver((x) => 0.1 + 0.004 * x, OF_REQUESTS, 0.2),
    ["robust of requests"],
  );
});

test("a power law is chosen for what is one", () => {
  assertMostly(
    chosenOver((x) => 0.05 * Math.sqrt(x), OF_REQUESTS),
    ["power of requests"],
  );
  assertMostly(
    chosenOver((x) => 0.0001 * x ** 1.8, OF_REQUESTS),
    ["power of requests"],
  );
});

test("a polynomial is chosen where work grows with the load on top of a constant", () => {
  assertMostly(
    chosenOver((x) => 0.2 + 0.00004 * x * x, OF_REQUESTS),
    ["polynomial of requests"],
  );
});

test("least squares is chosen where a signal moves in steps, so that the median of slopes is flat", () => {
  const seen = Array.from({ length: 120 }, (_, i): Observation => {
    const requests = 10 + ((i * 37) % 120);
    return { requests, bytes: Number.NaN, value: requests < 100 ? 1 : 2 };
  });
  assert.equal(chooseCurve(seen, OF_REQUESTS.slice(0, 2))?.shape.family, "linear");
});

test("sizes are taken into account when they tell more, and only then", () => {
  const both = [...OF_REQUESTS, ...OF_BYTES];
  assertMostly(
    chosenOver((_, bytes) => 0.05 + 1e-6 * bytes, both),
    ["robust of bytes"],
  );
  assertMostly(
    chosenOver((requests) => 0.05 + 0.004 * requests, both),
    ["robust of requests"],
  );
});

test("the curve in force stays while it is about as good as the best", () => {
  const inForce = { family: "polynomial", regressor: "requests" } as const;
  const line = observe((x) => 0.1 + 0.004 * x, { random: seededRandom(1) });
  assert.equal(chooseCurve(line, OF_REQUESTS)?.shape.family, "robust");
  assert.equal(chooseCurve(line, OF_REQUESTS, inForce)?.shape.family, "polynomial");
  const root = observe((x) => 0.05 * Math.sqrt(x), { random: seededRandom(1), noise: 0.01 });
  assert.equal(chooseCurve(root, OF_REQUESTS, { ...inForce, family: "robust" })?.shape.family, "power");
});

test("what may only bend upward is refused when it would flatten out", () => {
  const upward: Candidate[] = [{ family: "power", regressor: "requests", upward: true }];
  const random = seededRandom(2);
  assert.equal(
    chooseCurve(
      observe((x) => Math.sqrt(x), { random }),
      upward,
    ),
    undefined,
  );
  assert.ok(
    chooseCurve(
      observe((x) => x ** 1.5, { random }),
      upward,
    ),
  );
});

test("the error is that of what was not seen, in the signal's unit", () => {
  const noise = 0.05;
  const random = seededRandom(3);
  const seen = observe(() => 1, { random }).map((one) => ({
    ...one,
    value: 0.01 * one.requests + noise * (2 * random.next() - 1),
  }));
  const { error, shape } = chooseCurve(seen, OF_REQUESTS)!;
  assert.ok(Math.abs(error - noise / 2) < 0.1 * noise, `${error}`);
  assert.ok(Math.abs(valueAt(shape, 100) - 1) < noise / 2);
});

test("no candidate, or none that can be fitted, is no choice", () => {
  const same = Array.from({ length: 20 }, (): Observation => ({ requests: 5, bytes: 5, value: 1 }));
  assert.equal(chooseCurve(same, OF_REQUESTS), undefined);
  assert.equal(chooseCurve([], OF_REQUESTS), undefined);
  assert.equal(chooseCurve(same, []), undefined);
});
