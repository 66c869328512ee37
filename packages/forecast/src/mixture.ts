/**
 * Weights over experts, learnt online by exponential weights with a fixed share (Herbster & Warmuth, "Tracking the best
 * expert", 1998): the mixture is never much worse than the best sequence of experts with few switches. The share keeps
 * every expert alive, so that a change of regime is followed in a few steps. Experts may sleep (Freund et al., "Using and
 * combining predictors that specialize", 1997): one that has no forecast is left out and keeps its weight.
 */

/** How fast weights follow losses; a loss of 1 is the usual error of the mixture itself. */
const LEARNING_RATE = 0.3;
/** Part of all weight that is dealt out evenly each step. */
const SHARE = 0.001;
/** One wild sample must not decide the race. */
const LOSS_MAX = 8;
/** Memory of the usual error, in steps: 1 / (1 - 0.98) = 50. */
const SCALE_MEMORY = 0.98;

export type Mixture = {
  /** Weighted mean of the forecasts that are not NaN. */
  combine(forecasts: Float64Array, offset: number): number;
  /** Learns from forecasts made for the sample that has now come. */
  learn(forecasts: Float64Array, offset: number, truth: number): void;
  /** Gives the experts from index `from` on `share` of all weight, evenly. */
  seat(from: number, share: number): void;
  weight(expert: number): number;
};

export function createMixture(experts: number): Mixture {
  const weights = new Float64Array(experts).fill(1 / experts);
  let scale = 0;

  function combine(forecasts: Float64Array, offset: number): number {
    let total = 0;
    let sum = 0;
    for (let i = 0; i < experts; i += 1) {
      const forecast = forecasts[offset + i]!;
      if (Number.isNaN(forecast)) continue;
      total += weights[i]!;
      sum += weights[i]! * forecast;
    }
    return total > 0 ? sum / total : Number.NaN;
  }

  function learn(forecasts: Float64Array, offset: number, truth: number): void {
    const error = Math.abs(truth - combine(forecasts, offset));
    if (!Number.isFinite(error)) return;
    scale = scale === 0 ? error : SCALE_MEMORY * scale + (1 - SCALE_MEMORY) * error;
    if (scale === 0) return;
    let awakeBefore = 0;
    let awakeAfter = 0;
    let awake = 0;
    for (let i = 0; i < experts; i += 1) {
      const forecast = forecasts[offset + i]!;
      if (Number.isNaN(forecast)) continue;
      const loss = Math.min(LOSS_MAX, Math.abs(truth - forecast) / scale);
      awake += 1;
      awakeBefore += weights[i]!;
      weights[i] = weights[i]! * Math.exp(-LEARNING_RATE * loss);
      awakeAfter += weights[i]!;
    }
    if (!(awakeAfter > 0)) return;
    for (let i = 0; i < experts; i += 1) {
      if (Number.isNaN(forecasts[offset + i]!)) continue;
      // Sleepers keep their weight, so those awake share among themselves what they had together.
      const learnt = (weights[i]! / awakeAfter) * awakeBefore;
      weights[i] = (1 - SHARE) * learnt + (SHARE * awakeBefore) / awake;
    }
  }

  function seat(from: number, share: number): void {
    let others = 0;
    for (let i = 0; i < from; i += 1) others += weights[i]!;
    for (let i = 0; i < experts; i += 1) {
      weights[i] = i < from ? (weights[i]! / others) * (1 - share) : share / (experts - from);
    }
  }

  return { combine, learn, seat, weight: (expert) => weights[expert]! };
}
