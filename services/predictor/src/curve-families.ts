/**
 * The families a curve can come from, and how each is fitted to points. All but the least-squares line are fitted so that some
 * odd points cannot bend them: instances do odd things, and least squares believes the oddest most.
 */

import { LuDecomposition, Matrix } from "ml-matrix";
import { SimpleLinearRegression, TheilSenRegression } from "ml-regression";
import { median, weightedMedian } from "./averages.ts";
import { type Family, isIncreasing, type Shape } from "./curve-shape.ts";

export type Points = { readonly xs: readonly number[]; readonly ys: readonly number[] };

/** A power law says nothing about points at zero: it is fitted when at least this part lies above. */
const POSITIVE_MIN = 0.8;
/** Huber's bound between what counts by its square and what counts by its size, in standard deviations. */
const HUBER = 1.345;
/** Tukey's bound, from which on a point does not count at all. */
const BISQUARE = 4.685;
/** First Huber's weights, which cannot be led astray by where they begin, then Tukey's, which odd points cannot bend. */
const HUBER_ROUNDS = 4;
const ROUNDS = 8;
/** Makes a median of sizes the standard deviation of normal ones. */
const MAD_TO_SIGMA = 1.4826;
/** Weight against a bend, for each point: where the range is too narrow to tell, the polynomial is a line. */
const RIDGE = 1e-4;

/** Undefined when the points do not give one, or it would not rise with x. */
export function fitShape(family: Family, points: Points): Shape | undefined {
  const usable = family === "power" ? positive(points) : points;
  if (usable.xs.length < POSITIVE_MIN * points.xs.length) return undefined;
  const from = Math.min(...usable.xs);
  const to = Math.max(...usable.xs);
  if (!(from < to)) return undefined;
  const shape = { family, coefficients: FITS[family](usable), from, to };
  return isIncreasing(shape) ? shape : undefined;
}

/** Coefficients in the order that Shape says; NaN where the points do not give one. */
const FITS: Readonly<Record<Family, (points: Points) => readonly number[]>> = {
  little: ({ xs, ys }) => [0, throughOrigin(xs, ys)],
  robust: ({ xs, ys }) => robustLine(xs, ys),
  linear({ xs, ys }) {
    const { intercept, slope } = new SimpleLinearRegression(xs, ys);
    return [intercept, slope];
  },
  power({ xs, ys }) {
    const [intercept, slope] = robustLine(xs.map(Math.log), ys.map(Math.log));
    return [Math.exp(intercept), slope];
  },
  polynomial: fitPolynomial,
};

/**
 * Of least absolute errors, which is the median of ratios, each weighted by its x: an idle instance, of whose few requests a
 * ratio tells next to nothing, has next to no weight.
 */
function throughOrigin(xs: readonly number[], ys: readonly number[]): number {
  return weightedMedian(xs.flatMap((x, i) => (x > 0 ? [{ value: ys[i]! / x, weight: x }] : [])));
}

/** Theil (1950), Sen (1968). */
function robustLine(xs: readonly number[], ys: readonly number[]): [intercept: number, slope: number] {
  const { intercept, slope } = new TheilSenRegression(xs, ys);
  return [intercept, slope];
}

/**
 * Degree 2, by least squares weighted again after each round (Huber, 1964; Beaton and Tukey, 1974), with a ridge on the bend. ml-regression's own
 * takes powers of x as it comes, unweighted: of bytes, whose fourth powers have 36 digits, nothing would be left.
 */
function fitPolynomial({ xs, ys }: Points): readonly number[] {
  const unit = Math.max(...xs);
  const rows = xs.map((x) => [1, x / unit, (x / unit) ** 2]);
  let weights: readonly number[] = xs.map(() => 1);
  let solved: readonly number[] = [];
  for (let round = 1; round <= ROUNDS; round += 1) {
    solved = solveWeighted(rows, { ys, weights });
    const away = rows.map((row, i) => Math.abs(ys[i]! - dot(row, solved)));
    const sigma = MAD_TO_SIGMA * median(away);
    if (!(sigma > 0)) break;
    weights = away.map((distance) => weightOf(distance / sigma, round));
  }
  const [a = Number.NaN, b = Number.NaN, c = Number.NaN] = solved;
  return [a, b / unit, c / unit ** 2];
}

function weightOf(sigmas: number, round: number): number {
  if (round < HUBER_ROUNDS) return Math.min(1, HUBER / sigmas);
  return Math.max(0, 1 - (sigmas / BISQUARE) ** 2) ** 2;
}

/** By the normal equations: x was scaled to at most 1, so they lose nothing that matters. */
function solveWeighted(
  rows: readonly (readonly number[])[],
  { ys, weights }: { ys: readonly number[]; weights: readonly number[] },
): readonly number[] {
  const squares = Matrix.zeros(3, 3);
  const products = Matrix.zeros(3, 1);
  squares.set(2, 2, RIDGE * rows.length);
  for (const [i, row] of rows.entries()) {
    for (const [j, cell] of row.entries()) {
      const weighted = weights[i]! * cell;
      products.set(j, 0, products.get(j, 0) + weighted * ys[i]!);
      for (const [k, other] of row.entries()) squares.set(j, k, squares.get(j, k) + weighted * other);
    }
  }
  const decomposition = new LuDecomposition(squares);
  return decomposition.isSingular() ? [] : decomposition.solve(products).to1DArray();
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, cell, i) => sum + cell * (b[i] ?? Number.NaN), 0);
}

function positive({ xs, ys }: Points): Points {
  const kept = xs.flatMap((x, i) => (x > 0 && ys[i]! > 0 ? [i] : []));
  return { xs: kept.map((i) => xs[i]!), ys: kept.map((i) => ys[i]!) };
}
