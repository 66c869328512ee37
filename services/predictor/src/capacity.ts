/**
 * What one instance carries: a curve for each signal, fitted to what instances did, and the rate at which the first of
 * them reaches its target. That one binds.
 *
 * Curves are fitted on a slow clock, for it takes some milliseconds: all signals in a turn until one is learnt, one a turn
 * after that. A curve that no longer holds has a turn each time: what was seen of its signal before the change is forgotten,
 * and when requests have become dearer it is raised at once, until there are samples enough for another.
 */

import type { BindingSignal } from "@understudy/model/metric-names";
import { median } from "./averages.ts";
import type { Row } from "./batch.ts";
import { valueAt } from "./curve-shape.ts";
import { type Drift, driftOf, NO_DRIFT, watchDrift } from "./drift.ts";
import { createLoadBlocks, type LoadSample } from "./load-sample.ts";
import {
  type CapacityPolicy,
  type Curve,
  dearer,
  fitSignal,
  isTelling,
  observationsOf,
  rateAt,
} from "./signal-curve.ts";

const SAMPLES_MAX = 128;
const TURN_EVERY_MS = 5_000;
/** Mean size of normal errors to their standard deviation. */
const SIZE_TO_SIGMA = 1.25;
/** A change below this part of the signal is none. */
const NOISE_MIN = 0.05;
/** Below this part of the most that was seen a signal may be anything: an idle program's work is no cost of requests. */
const WATCHED_MIN = 0.25;
/** Few samples say that requests became dearer, and they may be odd: by no more than this at a time. */
const DEARER_MAX = 4;

export type CapacityView = {
  readonly instanceRps: number;
  readonly bindingSignal: string;
  readonly curves: readonly Curve[];
  readonly learned: boolean;
};

export type Capacity = {
  /** One tick of a warm instance. */
  observe(row: Row, atMs: number): void;
  view(): CapacityView;
  learnt(): CapacityLearnt;
};

/** What is kept of a capacity from one process to the next: the samples, newest last, and what they have said. */
export type CapacityLearnt = { readonly samples: readonly LoadSample[]; readonly curves: readonly Curve[] };

type Known = {
  readonly curve: Curve;
  /** How many times as dear it says requests are as when it was fitted. */
  readonly raised: number;
  /** Undefined after requests became cheaper than when it was fitted, until it is fitted again. */
  readonly drift: Drift | undefined;
};

/** `learnt`: under the same policy. */
export function createCapacity(policy: CapacityPolicy, learnt?: CapacityLearnt): Capacity {
  const blocks = createLoadBlocks(policy.signals);
  const known = new Map<string, Known>(
    learnt?.curves.map((curve) => [curve.signal, { curve, raised: 1, drift: NO_DRIFT }]),
  );
  let samples: readonly LoadSample[] = learnt?.samples.slice(-SAMPLES_MAX) ?? [];
  let counted = samples.length;
  let turns = 0;
  let turnMs = Number.NEGATIVE_INFINITY;
  let view = bindingOf(curvesOf(known), policy);

  function refit(signal: BindingSignal): void {
    const before = known.get(signal);
    const curve = fitSignal(samples, { signal, policy, inForce: before?.curve });
    // A quiet hour has no variety: what was learnt before still holds.
    if (!curve || (isTelling(before?.curve) && !isTelling(curve))) return;
    known.set(signal, { curve, raised: 1, drift: before?.drift ?? NO_DRIFT });
  }

  function takeTurn(atMs: number): void {
    turnMs = atMs;
    turns += 1;
    const next = policy.signals[turns % policy.signals.length];
    for (const signal of policy.signals) {
      if (!view.learned || signal === next || isDoubted(known.get(signal))) refit(signal);
    }
  }

  function watch(sample: LoadSample): void {
    for (const signal of policy.signals) {
      const before = known.get(signal);
      if (!before?.drift || !isTelling(before.curve)) continue;
      const deviation = deviationOf(before.curve, sample);
      if (deviation === undefined) continue;
      const drift = watchDrift(before.drift, { deviation, index: counted - 1 });
      const drifted = driftOf(drift);
      if (drifted) samples = forget(samples, { signal, but: counted - drifted.since });
      known.set(signal, drifted ? afterDrift(before, samples) : { ...before, drift });
    }
  }

  return {
    observe(row, atMs) {
      const sample = blocks.add(row, atMs);
      if (!sample) return;
      samples = [...samples, sample].slice(-SAMPLES_MAX);
      counted += 1;
      watch(sample);
      if (Math.abs(atMs - turnMs) >= TURN_EVERY_MS) takeTurn(atMs);
      view = bindingOf(curvesOf(known), policy);
    },
    view: () => view,
    learnt: () => ({ samples, curves: view.curves }),
  };
}

/** What a sample shows beside what the curve says; undefined where the curve has seen nothing to compare with. */
function compare(curve: Curve, sample: LoadSample): { value: number; expected: number } | undefined {
  const [seen] = observationsOf([sample], curve.signal);
  const x = seen?.[curve.regressor];
  // Beyond what was seen a curve may be wrong without any change.
  if (!seen || x === undefined || !(x >= curve.from && x <= curve.to)) return undefined;
  const expected = valueAt(curve, x);
  return expected >= WATCHED_MIN * valueAt(curve, curve.to) ? { value: seen.value, expected } : undefined;
}

/** In standard deviations. */
function deviationOf(curve: Curve, sample: LoadSample): number | undefined {
  const compared = compare(curve, sample);
  if (!compared) return undefined;
  const { value, expected } = compared;
  return (value - expected) / Math.max(SIZE_TO_SIGMA * curve.error, NOISE_MIN * expected);
}

/** As if the signal had not been measured before the newest samples. */
function forget(
  samples: readonly LoadSample[],
  { signal, but }: { signal: BindingSignal; but: number },
): readonly LoadSample[] {
  return samples.map((sample, index) =>
    index >= samples.length - but
      ? sample
      : { ...sample, signals: { ...sample.signals, [signal]: Number.NaN } },
  );
}

/**
 * Dearer requests raise the curve as the samples since the change say, and when that passes it comes down again, as far as it was
 * fitted. Cheaper ones wait until a curve is fitted to them: to promise too much costs more than a shadow too many.
 */
function afterDrift({ curve, raised }: Known, samples: readonly LoadSample[]): Known {
  const factors = samples.flatMap((sample) => {
    const compared = compare(curve, sample);
    return compared ? [compared.value / compared.expected] : [];
  });
  const factor = Math.max(1 / raised, Math.min(DEARER_MAX, median(factors)));
  const next = dearer(curve, factor);
  // A curve that starts above its target would say nothing at all: better one that is tried again with each turn.
  if (factor === 1 || !isTelling(next)) return { curve, raised, drift: undefined };
  return { curve: next, raised: factor === 1 / raised ? 1 : raised * factor, drift: NO_DRIFT };
}

/** Its curve is not the one that was fitted, or is no longer watched. */
function isDoubted(known: Known | undefined): boolean {
  return known !== undefined && (known.raised !== 1 || !known.drift);
}

function curvesOf(known: ReadonlyMap<string, Known>): readonly Curve[] {
  return [...known.values()].map(({ curve }) => curve);
}

/** What an instance carries when its binding signal is at its limit; `target` is the policy's. */
export function fullInstanceRps(
  { instanceRps, bindingSignal, curves, learned }: CapacityView,
  target: number,
): number {
  const curve = learned ? curves.find(({ signal }) => signal === bindingSignal) : undefined;
  return curve ? rateAt(curve, curve.target / target) : instanceRps / target;
}

/** Fits every signal and finds the one that binds; without one the configured first guess holds. */
export function fitCapacity(samples: readonly LoadSample[], policy: CapacityPolicy): CapacityView {
  const curves = policy.signals.flatMap((signal) => fitSignal(samples, { signal, policy }) ?? []);
  return bindingOf(curves, policy);
}

function bindingOf(curves: readonly Curve[], { signals, initialRps }: CapacityPolicy): CapacityView {
  const binding = curves
    .filter(isTelling)
    .reduce<Curve | undefined>((a, b) => (a && a.carriesRps <= b.carriesRps ? a : b), undefined);
  if (!binding) return { instanceRps: initialRps, bindingSignal: signals[0] ?? "", curves, learned: false };
  return { instanceRps: binding.carriesRps, bindingSignal: binding.signal, curves, learned: true };
}
