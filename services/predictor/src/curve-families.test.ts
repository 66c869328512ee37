import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import fc from "fast-check";
import { fitShape } from "./curve-families.ts";
import { FAMILIES, type Family, valueAt } from "./curve-shape.ts";

const XS = Array.from({ length: 40 }, (_, i) => 10 + 4 * i);
const TRUTHS: Readonly<Record<Family, (x: number) => number>> = {
  little: (x) => 0.04 * x,
  robust: (x) => 0.5 + 0.01 * x,
  linear: (x) => 0.5 + 0.01 * x,
  power: (x) => 0.3 * Math.sqrt(x),
  polynomial: (x) => 0.5 + 0.002 * x + 0.0001 * x * x,
};
const pointsOf = (truth: (x: number) => number, xs = XS) => ({ xs, ys: xs.map(truth) });

test("each family finds its own truth, also where x is bytes", () => {
  for (const family of FAMILIES) {
    for (const unit of [1, 1e7]) {
      const truth = (x: number) => TRUTHS[family](x / unit);
      const points = pointsOf(
        truth,
        XS.map((x) => x * unit),
      );
      const shape = fitShape(family, points);
      assert.ok(shape, `${family} in units of ${unit}`);
      for (const x of points.xs) {
        const away = Math.abs(valueAt(shape, x) - truth(x));
        assert.ok(away < 0.01 * truth(170 * unit), `${family} at ${x} is ${away} away`);
      }
    }
  }
});

test("odd points bend no family but least squares, one in seven of them", () => {
  const families = FAMILIES.filter((family) => family !== "linear");
  fc.assert(
    fc.property(
      fc.constantFrom(...families),
      fc.integer(),
      fc.double({ min: 0, max: 6, noNaN: true }),
      (family, seed, odd) => {
        const truth = TRUTHS[family];
        const random = seededRandom(seed);
        const largest = truth(XS.at(-1)!);
        const ys = XS.map((x) => truth(x) + 0.01 * largest * random.normal());
        for (let i = 0; i < 6; i += 1) ys[random.integer(0, ys.length)] = odd * largest;
        const shape = fitShape(family, { xs: XS, ys });
        assert.ok(shape);
        for (const x of [50, 100, 150]) {
          const away = Math.abs(valueAt(shape, x) - truth(x)) / truth(x);
          assert.ok(away < 0.2, `${family} at ${x}: ${away}`);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("points that fall, that lie at one rate, or that are none give no shape", () => {
  for (const family of FAMILIES) {
    const falling = family === "little" ? (x: number) => -x : (x: number) => 100 - 0.5 * x;
    assert.equal(fitShape(family, pointsOf(falling)), undefined, family);
    assert.equal(fitShape(family, { xs: XS.map(() => 50), ys: XS }), undefined, family);
    assert.equal(fitShape(family, { xs: [], ys: [] }), undefined, family);
  }
});

test("a power law is not fitted to points of which many are zero", () => {
  const zeros = XS.map((x, i) => (i % 3 === 0 ? 0 : x));
  assert.equal(fitShape("power", { xs: XS, ys: zeros }), undefined);
  const few = XS.map((x, i) => (i % 10 === 0 ? 0 : x));
  assert.ok(fitShape("power", { xs: XS, ys: few }));
});

test("a polynomial over two rates is nearly the line between them", () => {
  const xs = XS.map((_, i) => (i % 2 === 0 ? 20 : 160));
  const shape = fitShape(
    "polynomial",
    pointsOf((x) => 0.1 * x, xs),
  );
  assert.ok(shape);
  assert.ok(Math.abs(valueAt(shape, 90) - 9) < 0.5, `${valueAt(shape, 90)}`);
});

test("whatever the points, a shape rises or there is none", () => {
  const anyNumber = fc.oneof(
    fc.double({ min: 0, max: 1e13, noNaN: true }),
    fc.double({ min: 0, max: 10, noNaN: true }),
    fc.constant(0),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(...FAMILIES),
      fc.array(fc.tuple(anyNumber, anyNumber), { maxLength: 30 }),
      (family, points) => {
        const shape = fitShape(family, { xs: points.map(([x]) => x), ys: points.map(([, y]) => y) });
        if (!shape) return;
        const [low, high] = [valueAt(shape, shape.from), valueAt(shape, shape.to)];
        assert.ok(shape.from < shape.to && low <= high, `${low} to ${high}`);
      },
    ),
    { numRuns: 500 },
  );
});
