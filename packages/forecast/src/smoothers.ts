/**
 * The experts that know no season: last value, simple exponential smoothing at several speeds (Brown, 1959) and damped
 * trends (Gardner & McKenzie, 1985). Each is a few numbers; which of them is right today is the mixture's business.
 */

export const SES_ALPHAS = [0.05, 0.1, 0.2, 0.35, 0.6] as const;

/** Level and trend gains, and what is left of the trend after each further step. */
export const DAMPED_TRENDS = [
  { alpha: 0.5, beta: 0.2, damping: 0.9 },
  { alpha: 0.25, beta: 0.05, damping: 0.97 },
] as const;

export const SMOOTHER_COUNT = 1 + SES_ALPHAS.length + DAMPED_TRENDS.length;

export type Smoothers = {
  observe(value: number): void;
  /** Writes SMOOTHER_COUNT forecasts for the horizon at index `horizon` to `into`, from `offset` on. */
  forecast(horizon: number, into: Float64Array, offset: number): void;
};

/** `horizons` in steps. */
export function createSmoothers(horizons: readonly number[]): Smoothers {
  let last = Number.NaN;
  const sesLevels = new Float64Array(SES_ALPHAS.length);
  const trends = DAMPED_TRENDS.map((gains) => createDampedTrend(gains, horizons));

  return {
    observe(value) {
      const first = Number.isNaN(last);
      for (let i = 0; i < SES_ALPHAS.length; i += 1) {
        sesLevels[i] = first ? value : sesLevels[i]! + SES_ALPHAS[i]! * (value - sesLevels[i]!);
      }
      for (const trend of trends) trend.observe(value);
      last = value;
    },
    forecast(horizon, into, offset) {
      into[offset] = last;
      into.set(sesLevels, offset + 1);
      for (let i = 0; i < trends.length; i += 1) {
        into[offset + 1 + SES_ALPHAS.length + i] = trends[i]!.forecast(horizon);
      }
    },
  };
}

function createDampedTrend(
  { alpha, beta, damping }: (typeof DAMPED_TRENDS)[number],
  horizons: readonly number[],
): { observe(value: number): void; forecast(horizon: number): number } {
  // damping + damping^2 + ... + damping^steps, for each horizon.
  const reach = horizons.map((steps) => (damping * (1 - damping ** steps)) / (1 - damping));
  let level = Number.NaN;
  let trend = 0;
  return {
    observe(value) {
      if (Number.isNaN(level)) {
        level = value;
        return;
      }
      const expected = level + damping * trend;
      const before = level;
      level = expected + alpha * (value - expected);
      trend = damping * trend + beta * (level - before - damping * trend);
    },
    forecast: (horizon) => level + reach[horizon]! * trend,
  };
}
