/** Means, and medians of numbers in any order. */

/** NaN of none. */
export function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The upper one of an even number; NaN of none. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** The value at which half of the weight is reached; NaN when there is no weight. */
export function weightedMedian(
  weighted: readonly { readonly value: number; readonly weight: number }[],
): number {
  const half = weighted.reduce((sum, { weight }) => sum + weight, 0) / 2;
  let reached = 0;
  for (const { value, weight } of weighted.toSorted((a, b) => a.value - b.value)) {
    reached += weight;
    if (weight > 0 && reached >= half) return value;
  }
  return Number.NaN;
}
