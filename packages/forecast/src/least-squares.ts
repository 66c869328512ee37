/**
 * Recursive least squares (Plackett, 1950), guarded: the matrix is kept symmetric, forgets only while it is excited, and its
 * owner starts anew when it is no longer a positive number. Regression on the season's rest (rls.ts) and on what the
 * detectors see (maximum.ts) stand on it. Matrices of d x d numbers lie in a run of a shared array.
 */

const START = 1;
/** Trace beyond which the matrix is not allowed to grow, per regressor. */
const TRACE_MAX = 50;

export function startMatrix(numbers: Float64Array, at: number, d: number): void {
  numbers.fill(0, at, at + d * d);
  for (let i = 0; i < d; i += 1) numbers[at + i * (d + 1)] = START;
}

/** What one observation moves: `gain` = matrix x `regressors`, and their product with it. */
export type Excitation = { readonly regressors: Float64Array; readonly gain: Float64Array; energy: number };

export function createExcitation(d: number): Excitation {
  return { regressors: new Float64Array(d), gain: new Float64Array(d), energy: 0 };
}

/** Fills gain and energy for the regressors. */
export function excite(numbers: Float64Array, at: number, into: Excitation): void {
  const { regressors, gain } = into;
  const d = regressors.length;
  let energy = 0;
  for (let i = 0; i < d; i += 1) {
    let sum = 0;
    for (let j = 0; j < d; j += 1) sum += numbers[at + i * d + j]! * regressors[j]!;
    gain[i] = sum;
    energy += sum * regressors[i]!;
  }
  into.energy = energy;
}

/** Takes what `excite` found into the matrix; false when it broke and must be started anew. */
export function absorb(
  numbers: Float64Array,
  at: number,
  { excitation, forgetting }: { excitation: Excitation; forgetting: number },
): boolean {
  const { gain, energy } = excitation;
  const d = gain.length;
  const scale = 1 / (forgetting + energy);
  let trace = 0;
  for (let i = 0; i < d; i += 1) {
    for (let j = 0; j <= i; j += 1) {
      const value = numbers[at + i * d + j]! - gain[i]! * gain[j]! * scale;
      numbers[at + i * d + j] = value;
      numbers[at + j * d + i] = value;
    }
    trace += numbers[at + i * (d + 1)]!;
  }
  if (!(trace > 0) || !Number.isFinite(energy)) return false;
  if (trace < TRACE_MAX * d)
    for (let i = 0; i < d * d; i += 1) numbers[at + i] = numbers[at + i]! / forgetting;
  return true;
}

/** A number that is none counts as 0. */
export function clip(value: number, most: number): number {
  return value > most ? most : value < -most ? -most : value || 0;
}
