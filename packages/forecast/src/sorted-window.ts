/** The last samples in order of size, in a run of a shared array; the history knows which one is the oldest. */

/** Adds `value`; takes `oldest` out first unless it is NaN. `size` is the number of samples before. */
export function windowPush(
  sorted: Float32Array,
  at: number,
  { size, oldest, value }: { size: number; oldest: number; value: number },
): void {
  let count = size;
  const single = Math.fround(value);
  if (!Number.isNaN(oldest)) {
    const gone = find(sorted, at, { size: count, value: oldest });
    for (let i = gone; i < count - 1; i += 1) sorted[at + i] = sorted[at + i + 1]!;
    count -= 1;
  }
  let place = count;
  while (place > 0 && sorted[at + place - 1]! > single) {
    sorted[at + place] = sorted[at + place - 1]!;
    place -= 1;
  }
  sorted[at + place] = single;
}

/** Index of the first that is not below `value`. */
function find(sorted: Float32Array, at: number, { size, value }: { size: number; value: number }): number {
  let low = 0;
  let high = size;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[at + middle]! < value) low = middle + 1;
    else high = middle;
  }
  return Math.min(low, size - 1);
}

/**
 * Writes the samples at `levels` from the place `into` of the same array on, with the finite-sample correction: of n samples and
 * one to come that at a level has rank level (n + 1).
 */
export function writeWindowQuantiles(
  sorted: Float32Array,
  at: number,
  { size, levels, into }: { size: number; levels: readonly number[]; into: number },
): void {
  for (let q = 0; q < levels.length; q += 1) {
    const rank = levels[q]! * (size + 1) - 1;
    const low = Math.min(size - 1, Math.max(0, Math.floor(rank)));
    const high = Math.min(size - 1, low + 1);
    const part = Math.min(1, Math.max(0, rank - low));
    const below = sorted[at + low]!;
    const above = sorted[at + high]!;
    sorted[into + q] = below === above ? below : below + part * (above - below);
  }
}
