import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { bendsUp, isIncreasing, type Shape, scaled, steepnessAt, valueAt, xAt } from "./curve-shape.ts";

const positive = fc.double({ min: 1e-3, max: 1e3, noNaN: true });
const bend = fc.double({ min: -1, max: 1, noNaN: true });

/** Any shape that rises: of a polynomial the bend is chosen so that it does, up to nearly flat at one end. */
const anyShape: fc.Arbitrary<Shape> = fc
  .record({
    family: fc.constantFrom("little", "robust", "linear", "power", "polynomial"),
    a: positive,
    b: positive,
    exponent: fc.double({ min: 0.2, max: 3, noNaN: true }),
    bend,
    from: positive,
    width: positive,
  })
  .map(({ family, a, b, exponent, bend, from, width }): Shape => {
    const to = from + width;
    const range = { from, to };
    if (family === "power") return { family, coefficients: [a, exponent], ...range };
    if (family !== "polynomial") return { family, coefficients: [family === "little" ? 0 : a, b], ...range };
    // Steepness b at the middle of the range, between 0.1 b and 1.9 b at its ends.
    const c = (0.9 * bend * b) / width;
    return { family, coefficients: [a, b - c * (from + to), c], ...range };
  })
  .filter(isIncreasing);

const near = (a: number, b: number, tolerance = 1e-6) =>
  Math.abs(a - b) <= tolerance * Math.max(1, Math.abs(a), Math.abs(b));

test("a shape rises everywhere, also outside of what was seen", () => {
  fc.assert(
    fc.property(
      anyShape,
      fc.array(fc.double({ min: -1, max: 5, noNaN: true }), { minLength: 2 }),
      (shape, parts) => {
        const xs = parts.map((part) => shape.from + part * (shape.to - shape.from)).sort((a, b) => a - b);
        const values = xs.map((x) => valueAt(shape, x));
        for (const [i, value] of values.slice(1).entries()) {
          const before = values[i]!;
          assert.ok(value >= before - 1e-9 * Math.abs(before), `${before} then ${value}`);
        }
      },
    ),
  );
});

test("its inverse finds the work that makes a value", () => {
  fc.assert(
    fc.property(anyShape, fc.double({ min: -1, max: 5, noNaN: true }), (shape, part) => {
      const x = shape.from + part * (shape.to - shape.from);
      const back = valueAt(shape, xAt(shape, valueAt(shape, x)));
      assert.ok(near(back, valueAt(shape, x)), `${back} and not ${valueAt(shape, x)}`);
    }),
  );
  const line: Shape = { family: "linear", coefficients: [1, 2], from: 1, to: 2 };
  assert.ok(Number.isNaN(xAt(line, Number.NaN)));
  assert.equal(xAt(line, 0), -0.5);
});

test("beyond what was seen it promises no more than a straight line through both ends would", () => {
  fc.assert(
    fc.property(anyShape, fc.double({ min: 0, max: 10, noNaN: true }), (shape, part) => {
      const [low, high] = [valueAt(shape, shape.from), valueAt(shape, shape.to)];
      const promised = xAt(shape, high + part * (high - low));
      const straight = shape.to + part * (shape.to - shape.from);
      assert.ok(promised <= straight * (1 + 1e-9), `${promised} is more than ${straight}`);
    }),
  );
});

test("a polynomial is a line outside of what was seen", () => {
  const shape: Shape = { family: "polynomial", coefficients: [1, 0, 1], from: 1, to: 3 };
  assert.deepEqual(
    [valueAt(shape, 0), valueAt(shape, 1), valueAt(shape, 3), valueAt(shape, 5)],
    [0, 2, 10, 10 + 2 * 6],
  );
  assert.deepEqual([steepnessAt(shape, 0), steepnessAt(shape, 2), steepnessAt(shape, 9)], [2, 4, 6]);
});

test("what falls, stands still or lacks a coefficient is not increasing", () => {
  const over = { from: 1, to: 3 };
  for (const shape of [
    { family: "robust", coefficients: [5, -1], ...over },
    { family: "linear", coefficients: [5, 0], ...over },
    { family: "power", coefficients: [1, -1], ...over },
    { family: "polynomial", coefficients: [0, 4, -1], ...over },
    { family: "polynomial", coefficients: [0, 4], ...over },
    { family: "power", coefficients: [1, 0.5], from: 0, to: 3 },
    { family: "little", coefficients: [], ...over },
  ] satisfies Shape[])
    assert.equal(isIncreasing(shape), false, `${shape.family} ${shape.coefficients}`);
});

test("scaling multiplies every value", () => {
  fc.assert(
    fc.property(anyShape, positive, fc.double({ min: -1, max: 5, noNaN: true }), (shape, factor, part) => {
      const x = shape.from + part * (shape.to - shape.from);
      assert.ok(near(valueAt(scaled(shape, factor), x), factor * valueAt(shape, x), 1e-4));
    }),
  );
});

test("which way a shape bends", () => {
  const over = { from: 1, to: 3 };
  assert.equal(bendsUp({ family: "power", coefficients: [1, 1.2], ...over }), true);
  assert.equal(bendsUp({ family: "power", coefficients: [1, 0.8], ...over }), false);
  assert.equal(bendsUp({ family: "little", coefficients: [0, 1], ...over }), true);
});
