/** Fractions of traffic, in parts per million, so that a plan adds up exactly. */

export const PPM = 1_000_000;

/**
 * Splits PPM by `weights` (any non-negative numbers) with the largest-remainder method, so that the parts add up to PPM.
 * All zero: the first gets everything. Empty in, empty out.
 */
export function splitPpm(weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (weights.length === 0) return [];
  if (!(total > 0)) return weights.map((_, index) => (index === 0 ? PPM : 0));
  const exact = weights.map((weight) => (weight / total) * PPM);
  const parts = exact.map(Math.floor);
  let left = PPM - parts.reduce((sum, part) => sum + part, 0);
  const byRemainder = exact.map((value, index) => ({ index, rest: value - Math.floor(value) }));
  byRemainder.sort((a, b) => b.rest - a.rest || a.index - b.index);
  for (const { index } of byRemainder) {
    if (left === 0) break;
    parts[index] = parts[index]! + 1;
    left -= 1;
  }
  return parts;
}
