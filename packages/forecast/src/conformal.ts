/**
 * Quantiles from past errors. Conformalised as in Romano, Patterson & Candes, "Conformalized quantile regression" (2019):
 * the score of a sample is how far it lay from a base forecast, and a quantile is the base plus a quantile of the last
 * scores. Which quantile of the scores is adapted online so that the stated share of samples really falls below it, even
 * when the series changes: Gibbs & Candes, "Adaptive conformal inference under distribution shift" (2021).
 */

export const SCORE_WINDOW = 256;
/** Step of the adaptation: one miss at level 0.95 moves the level by 0.95 x this. */
const ADAPTATION = 0.004;
/** The level may leave (0, 1) by this: beyond the ends of the window the offset is extrapolated. */
const LEVEL_SLACK = 0.05;

/** The last scores, in order of time and of size. */
export type ScoreWindow = {
  add(score: number): void;
  /** Value at `level` of the window, 0 while it is empty. */
  quantile(level: number): number;
  clear(): void;
  size(): number;
};

export function createScoreWindow(capacity = SCORE_WINDOW): ScoreWindow {
  const byTime = new Float32Array(capacity);
  const bySize = new Float32Array(capacity);
  let size = 0;
  let next = 0;

  /** Index of the first of `bySize` that is not below `score`. */
  function find(score: number): number {
    let low = 0;
    let high = size;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (bySize[middle]! < score) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  function dropOldest(): void {
    bySize.copyWithin(find(byTime[next]!), find(byTime[next]!) + 1, size);
    size -= 1;
  }

  return {
    add(score) {
      const value = Math.fround(score);
      if (!Number.isFinite(value)) return;
      if (size === capacity) dropOldest();
      const index = find(value);
      bySize.copyWithin(index + 1, index, size);
      bySize[index] = value;
      byTime[next] = value;
      next = (next + 1) % capacity;
      size += 1;
    },
    quantile(level) {
      if (size === 0) return 0;
      // The finite-sample correction: of n scores and one to come, the level is rank level x (n + 1).
      const rank = level * (size + 1) - 1;
      const low = Math.min(size - 1, Math.max(0, Math.floor(rank)));
      const high = Math.min(size - 1, low + 1);
      const part = Math.min(1, Math.max(0, rank - low));
      return bySize[low]! + part * (bySize[high]! - bySize[low]!);
    },
    clear() {
      size = 0;
      next = 0;
    },
    size: () => size,
  };
}

export type AdaptiveLevel = {
  /** The level to ask the window for. */
  readonly level: () => number;
  learn(covered: boolean): void;
};

export function createAdaptiveLevel(wanted: number): AdaptiveLevel {
  let level = wanted;
  return {
    level: () => level,
    learn(covered) {
      const moved = level + ADAPTATION * (wanted - (covered ? 1 : 0));
      level = Math.min(1 + LEVEL_SLACK, Math.max(-LEVEL_SLACK, moved));
    },
  };
}
