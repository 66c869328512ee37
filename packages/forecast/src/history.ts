/**
 * The last samples of one series, in a ring of fixed size. Every sample is written twice, one ring length apart, so that
 * any window is one run of the array. Single precision: seven digits are more than a forecast has.
 */

/** Enough for two weeks of a five-minute series, or an hour at one second. */
export const HISTORY_STEPS = 4096;

export type History = {
  push(value: number): void;
  /** `ago` 0 is the newest; NaN beyond what is kept. */
  at(ago: number): number;
  length(): number;
  /**
   * Mean absolute change over `lag` steps, over the newest `window` samples: the loss that "as it was `lag` steps ago"
   * would have had. NaN when the history is too short for it.
   */
  change(lag: number, window: number): number;
  /** Mean absolute deviation of the newest `window` samples from their own mean: the loss of a constant. */
  spread(window: number): number;
};

export function createHistory(capacity = HISTORY_STEPS): History {
  const values = new Float32Array(2 * capacity);
  let pushed = 0;
  const length = () => Math.min(pushed, capacity);
  /** Where the newest sample stands in the second copy; everything kept lies in one run before it. */
  const newest = () => capacity + ((pushed - 1) % capacity);

  return {
    push(value) {
      const index = pushed % capacity;
      values[index] = value;
      values[index + capacity] = value;
      pushed += 1;
    },
    at: (ago) => (ago >= 0 && ago < length() ? values[newest() - ago]! : Number.NaN),
    length,
    change(lag, window) {
      if (window < 1 || length() < lag + window) return Number.NaN;
      let sum = 0;
      for (let i = newest(), end = i - window; i > end; i -= 1)
        sum += Math.abs(values[i]! - values[i - lag]!);
      return sum / window;
    },
    spread(window) {
      if (window < 1 || length() < window) return Number.NaN;
      const end = newest() - window;
      let sum = 0;
      for (let i = newest(); i > end; i -= 1) sum += values[i]!;
      const mean = sum / window;
      let deviations = 0;
      for (let i = newest(); i > end; i -= 1) deviations += Math.abs(values[i]! - mean);
      return deviations / window;
    },
  };
}
