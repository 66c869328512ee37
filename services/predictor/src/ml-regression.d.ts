/** The part of ml-regression 6 that we use; it brings no types of its own. */
declare module "ml-regression" {
  /** Least squares. */
  export class SimpleLinearRegression {
    constructor(x: readonly number[], y: readonly number[]);
    readonly slope: number;
    readonly intercept: number;
  }
  /** Median of the slopes between all pairs of points (Theil, 1950; Sen, 1968). */
  export class TheilSenRegression {
    constructor(x: readonly number[], y: readonly number[]);
    readonly slope: number;
    readonly intercept: number;
  }
}
