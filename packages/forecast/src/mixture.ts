/**
 * Weights over experts, learnt online by exponential weights with a fixed share (Herbster & Warmuth, "Tracking the best
 * expert", 1998): the mixture is never much worse than the best sequence of experts with few switches. The share keeps
 * every expert alive, so that a change of regime is followed in a few steps. Experts may sleep (Freund et al., "Using and
 * combining predictors that specialize", 1997): one that has no forecast is left out and keeps its weight.
 */

/** How much worse than the best one counts at most: one wild sample must not decide the race. */
const LOSS_MAX = 8;

/**
 * Writes the weighted mean of the forecasts that are not NaN to the place after the last of them. A number that is returned
 * may have to be allocated, a number in an array never.
 */
export function combine(weights: Float64Array, at: number, forecasts: Float64Array): void {
  const count = forecasts.length - 1;
  let total = 0;
  let sum = 0;
  for (let i = 0; i < count; i += 1) {
    const forecast = forecasts[i]!;
    if (Number.isNaN(forecast)) continue;
    total += weights[at + i]!;
    sum += weights[at + i]! * forecast;
  }
  forecasts[count] = total > 0 ? sum / total : Number.NaN;
}

/**
 * `losses` in units of the usual loss, NaN for sleepers. Of the share no more is dealt out than the losses differ: a series
 * that stands still, where all are right, teaches nothing, and must not be forgotten for.
 */
export function learnWeights(
  weights: Float64Array,
  at: number,
  { losses, rate, share }: { losses: Float64Array; rate: number; share: number },
): void {
  let awakeBefore = 0;
  let awakeAfter = 0;
  let awake = 0;
  let least = Number.POSITIVE_INFINITY;
  let most = 0;
  for (let i = 0; i < losses.length; i += 1) {
    const loss = losses[i]!;
    if (loss < least) least = loss;
    if (loss > most) most = loss;
  }
  if (!(least < Number.POSITIVE_INFINITY)) return;
  for (let i = 0; i < losses.length; i += 1) {
    const loss = losses[i]!;
    if (Number.isNaN(loss)) continue;
    const before = weights[at + i]!;
    awake += 1;
    awakeBefore += before;
    const after = before * Math.exp(-rate * Math.min(loss - least, LOSS_MAX));
    weights[at + i] = after;
    awakeAfter += after;
  }
  if (!(awakeAfter > 0)) return;
  // Sleepers keep their weight, so those awake share among themselves what they had together.
  const part = share * Math.min(1, most - least);
  const scale = ((1 - part) * awakeBefore) / awakeAfter;
  const dealt = (part * awakeBefore) / awake;
  for (let i = 0; i < losses.length; i += 1) {
    const loss = losses[i]!;
    if (!Number.isNaN(loss)) weights[at + i] = scale * weights[at + i]! + dealt;
  }
}

/** Gives those from `first` on `share` of all weight, evenly. */
export function seat(
  weights: Float64Array,
  at: number,
  { count, first, share }: { count: number; first: number; share: number },
): void {
  let others = 0;
  for (let i = 0; i < first; i += 1) others += weights[at + i]!;
  for (let i = 0; i < count; i += 1) {
    weights[at + i] = i < first ? (weights[at + i]! / others) * (1 - share) : share / (count - first);
  }
}
