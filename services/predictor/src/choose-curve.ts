/**
 * Chooses what a signal is a function of, and by which family of curves: the simplest candidate that predicts what it has not
 * seen about as well as the best one does. Simpler is what comes first in the list.
 *
 * Cross-validated in whole stretches of time, because neighbours are alike and would tell on each other. "About as well" is
 * within one standard error of the best: Breiman, Friedman, Olshen and Stone (1984), section 3.4.3. Errors count by their
 * size and not by its square, so that one odd sample does not decide.
 */

import { meanOf } from "./averages.ts";
import { fitShape, type Points } from "./curve-families.ts";
import { bendsUp, type Family, type Shape, valueAt } from "./curve-shape.ts";

/** What a signal may be a function of: requests per second, or bytes per second where sizes tell more. */
export const REGRESSORS = ["requests", "bytes"] as const;
export type Regressor = (typeof REGRESSORS)[number];

export type Observation = Readonly<Record<Regressor, number>> & { readonly value: number };

export type Candidate = {
  readonly family: Family;
  readonly regressor: Regressor;
  /** Refused where it would flatten out. */
  readonly upward?: boolean;
};

export type Chosen = {
  readonly regressor: Regressor;
  readonly shape: Shape;
  /** Mean size of its errors on what it had not seen, in the signal's unit. */
  readonly error: number;
};

const FOLDS = 5;
/** Observations in a row that stay together: twelve seconds of one instance. */
const STRETCH = 4;
/** A fit without a fold needs no more to be judged by: the pairs of twice as many would take four times as long. */
const TRAINING_MAX = 64;
/** A difference of errors below this part of what the signal varies is of no use to anybody. */
const NEGLIGIBLE = 0.002;

type Judged = { readonly candidate: Candidate; readonly error: number; readonly standardError: number };

/** `inForce` stays as long as it is about as good as the best: a curve that changes its kind each time makes capacity jump. */
export function chooseCurve(
  observations: readonly Observation[],
  candidates: readonly Candidate[],
  inForce?: { readonly family: Family; readonly regressor: Regressor },
): Chosen | undefined {
  const judged = candidates.flatMap((candidate) => judge(observations, candidate) ?? []);
  if (judged.length === 0) return undefined;
  const best = judged.reduce((a, b) => (b.error < a.error ? b : a));
  const bound = best.error + Math.max(best.standardError, NEGLIGIBLE * spreadOf(observations));
  const good = judged.filter(({ error }) => error <= bound);
  const present = good.filter(({ candidate }) => isSame(candidate, inForce));
  for (const { candidate, error } of [...present, ...good]) {
    const shape = fit(observations, candidate);
    if (shape) return { regressor: candidate.regressor, shape, error };
  }
  return undefined;
}

function isSame(a: Candidate, b: Pick<Candidate, "family" | "regressor"> | undefined): boolean {
  return a.family === b?.family && a.regressor === b.regressor;
}

/** Undefined when it cannot be fitted to what is left without a fold. */
function judge(observations: readonly Observation[], candidate: Candidate): Judged | undefined {
  const errors: number[] = [];
  for (let fold = 0; fold < FOLDS; fold += 1) {
    const held = observations.filter((_, index) => foldOf(index) === fold);
    if (held.length === 0) continue;
    const others = observations.filter((_, index) => foldOf(index) !== fold);
    const without = fit(thinned(others), candidate);
    if (!without) return undefined;
    for (const seen of held) errors.push(Math.abs(seen.value - valueAt(without, seen[candidate.regressor])));
  }
  const error = meanOf(errors);
  const variance = meanOf(errors.map((one) => (one - error) ** 2));
  return { candidate, error, standardError: Math.sqrt(variance / errors.length) };
}

function foldOf(index: number): number {
  return Math.floor(index / STRETCH) % FOLDS;
}

function thinned(observations: readonly Observation[]): readonly Observation[] {
  const every = Math.ceil(observations.length / TRAINING_MAX);
  return observations.filter((_, index) => index % every === 0);
}

function fit(observations: readonly Observation[], { family, regressor, upward }: Candidate) {
  const shape = fitShape(family, pointsOf(observations, regressor));
  return shape && upward && !bendsUp(shape) ? undefined : shape;
}

function pointsOf(observations: readonly Observation[], regressor: Regressor): Points {
  return { xs: observations.map((seen) => seen[regressor]), ys: observations.map(({ value }) => value) };
}

function spreadOf(observations: readonly Observation[]): number {
  const values = observations.map(({ value }) => value);
  return Math.max(...values) - Math.min(...values);
}
