/**
 * The shape of a curve: a signal as a function of the work an instance is given (x), and its inverse. Inside the range that
 * was seen it is what was fitted. Outside it goes straight on: below as steep as where it begins, above at least as steep
 * as it was on the whole, so that a curve which flattens out never promises what a straight line would not.
 */

export const FAMILIES = ["little", "robust", "linear", "power", "polynomial"] as const;
export type Family = (typeof FAMILIES)[number];

export type Shape = {
  readonly family: Family;
  /** little, robust and linear: intercept, slope; power: factor, exponent; polynomial: of x^0, x^1 and x^2. */
  readonly coefficients: readonly number[];
  /** The range of x that was seen; from < to. */
  readonly from: number;
  readonly to: number;
};

/** Halvings of a range: as many as a double has bits. */
const HALVINGS = 53;

export function valueAt(shape: Shape, x: number): number {
  const { from, to } = shape;
  if (x < from) return fittedAt(shape, from) - (from - x) * fittedSteepnessAt(shape, from);
  if (x > to) return fittedAt(shape, to) + (x - to) * steepnessBeyond(shape);
  return fittedAt(shape, x);
}

export function steepnessAt(shape: Shape, x: number): number {
  if (x > shape.to) return steepnessBeyond(shape);
  return fittedSteepnessAt(shape, Math.max(x, shape.from));
}

/** Where an increasing shape reaches a value; below zero when it is above it even without work. */
export function xAt(shape: Shape, value: number): number {
  const { from, to } = shape;
  if (Number.isNaN(value)) return Number.NaN;
  const [lowest, highest] = [fittedAt(shape, from), fittedAt(shape, to)];
  if (value <= lowest) return from - (lowest - value) / fittedSteepnessAt(shape, from);
  if (value >= highest) return to + (value - highest) / steepnessBeyond(shape);
  let [low, high] = [from, to];
  for (let halving = 0; halving < HALVINGS; halving += 1) {
    const middle = (low + high) / 2;
    if (fittedAt(shape, middle) < value) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** More work, more of the signal, everywhere. The steepness of each family only rises or only falls, so the ends tell. */
export function isIncreasing(shape: Shape): boolean {
  const ends = [shape.from, shape.to].map((x) => fittedSteepnessAt(shape, x));
  return ends.every((steepness) => steepness > 0 && Number.isFinite(steepness));
}

/** Each further request costs at least as much as the one before. */
export function bendsUp(shape: Shape): boolean {
  return fittedSteepnessAt(shape, shape.to) >= fittedSteepnessAt(shape, shape.from);
}

/** The same shape with all its values multiplied. */
export function scaled(shape: Shape, factor: number): Shape {
  const [first, ...others] = shape.coefficients;
  const rest = shape.family === "power" ? others : others.map((coefficient) => factor * coefficient);
  return { ...shape, coefficients: [factor * first!, ...rest] };
}

function steepnessBeyond(shape: Shape): number {
  const { from, to } = shape;
  const onTheWhole = (fittedAt(shape, to) - fittedAt(shape, from)) / (to - from);
  return Math.max(onTheWhole, fittedSteepnessAt(shape, to));
}

function fittedAt({ family, coefficients }: Shape, x: number): number {
  const [a = Number.NaN, b = Number.NaN, c = Number.NaN] = coefficients;
  switch (family) {
    case "little":
    case "robust":
    case "linear":
      return a + b * x;
    case "power":
      return a * x ** b;
    case "polynomial":
      return a + b * x + c * x * x;
  }
}

function fittedSteepnessAt({ family, coefficients }: Shape, x: number): number {
  const [a = Number.NaN, b = Number.NaN, c = Number.NaN] = coefficients;
  switch (family) {
    case "little":
    case "robust":
    case "linear":
      return b;
    case "power":
      return a * b * x ** (b - 1);
    case "polynomial":
      return b + 2 * c * x;
  }
}
