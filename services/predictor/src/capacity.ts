/**
 * What one instance carries: for each signal a line, signal = intercept + slope x requests per second, fitted to what
 * instances did, and the rate at which the line reaches the target. The first signal to reach it binds.
 *
 * Lines are fitted by the median of slopes (Theil-Sen, ml-regression), which up to a quarter of odd samples cannot bend;
 * those known to be odd are left out before: cold instances (their caches are empty), saturated ones (they serve what
 * they can, not what they are asked), those that did not serve all the time.
 *
 * Busy workers' line is not fitted but known: by Little's law (1961) their mean is rate x service time, through the
 * origin. A fitted one comes out flatter, because the measured rate has noise of its own (regression dilution): it would
 * promise a tenth more than an instance carries.
 */

import type { BindingSignal } from "@understudy/model/metric-names";
import type { ResourceSpec } from "@understudy/model/policy";
import { TheilSenRegression } from "ml-regression";
import type { Row } from "./batch.ts";

/** One sample is a mean over so long: at 160 requests per second the rate's noise is 8 % over a second, 4.6 % over three. */
const BLOCK_MS = 3_000;
/** The pairs of so many samples are 8,000 slopes: half a millisecond. */
const SAMPLES_MAX = 128;
const SAMPLES_MIN = 15;
const REFIT_EVERY_MS = 5_000;
/** The slowest sample must be at most this part of the fastest, or there is no slope to see. */
const VARIETY_MAX = 0.7;
/** A line is used up to four times what was seen of its signal, not further. */
const SEEN_MIN = 0.25;
const R_SQUARED_MIN = 0.4;
/** Beyond this part of its limit a signal is saturated. */
const SATURATED = 0.92;
const INSTANCES_MAX = 1_000;

export type Curve = {
  readonly signal: string;
  readonly intercept: number;
  readonly slope: number;
  /** Value of the signal to aim at; NaN when its limit is not known. */
  readonly target: number;
  readonly rSquared: number;
  readonly samples: number;
};

export type CapacityView = {
  readonly instanceRps: number;
  readonly bindingSignal: string;
  readonly curves: readonly Curve[];
  readonly learned: boolean;
};

/** What one warm instance did over a block. */
export type LoadSample = {
  readonly rps: number;
  /** By signal; NaN where it was not measured. */
  readonly signals: Readonly<Record<string, number>>;
  /** Workers the instance has; NaN when it does not say. */
  readonly workers: number;
};

export type Capacity = {
  /** One tick of a warm instance. */
  observe(row: Row, atMs: number): void;
  view(): CapacityView;
  learnt(): CapacityLearnt;
};

/** What is kept of a capacity from one process to the next: the samples, newest last, and what they have said. */
export type CapacityLearnt = { readonly samples: readonly LoadSample[]; readonly view: CapacityView };

type CapacityPolicy = ResourceSpec["capacity"];

/** `learnt`: under the same policy. */
export function createCapacity(policy: CapacityPolicy, learnt?: CapacityLearnt): Capacity {
  const blocks = new Map<string, Block>();
  const samples: LoadSample[] = learnt?.samples.slice(-SAMPLES_MAX) ?? [];
  let view: CapacityView = learnt?.view ?? unlearned(policy, []);
  let fittedMs = Number.NEGATIVE_INFINITY;

  function refit(atMs: number): void {
    fittedMs = atMs;
    const fitted = fitCapacity(samples, policy);
    // A quiet hour has no variety: what was learnt before still holds.
    if (fitted.learned || !view.learned) view = fitted;
  }

  return {
    observe(row, atMs) {
      const block = blocks.get(row.instance) ?? newBlock(atMs);
      const next = addToBlock(block, row, { atMs, signals: policy.signals });
      if (blocks.size >= INSTANCES_MAX) blocks.clear();
      blocks.set(row.instance, next.block);
      if (!next.sample) return;
      samples.push(next.sample);
      if (samples.length > SAMPLES_MAX) samples.shift();
      if (atMs - fittedMs >= REFIT_EVERY_MS || atMs < fittedMs) refit(atMs);
    },
    view: () => view,
    learnt: () => ({ samples, view }),
  };
}

type Block = { readonly sinceMs: number; readonly rows: readonly LoadSample[] };

function newBlock(atMs: number): Block {
  return { sinceMs: atMs, rows: [] };
}

/** Adds a tick; a full block becomes a sample and a new one begins. */
function addToBlock(
  block: Block,
  row: Row,
  { atMs, signals }: { atMs: number; signals: readonly BindingSignal[] },
): { block: Block; sample?: LoadSample } {
  const sample = loadOf(row, signals);
  const isBroken = Number.isNaN(sample.rps) || atMs - block.sinceMs > 2 * BLOCK_MS || atMs < block.sinceMs;
  if (isBroken) return { block: newBlock(atMs) };
  const rows = [...block.rows, sample];
  if (atMs - block.sinceMs < BLOCK_MS) return { block: { ...block, rows } };
  return { block: newBlock(atMs), sample: meanSample(rows, signals) };
}

function loadOf(row: Row, signals: readonly BindingSignal[]): LoadSample {
  const served = row.value("servedPerSecond");
  const rps = Number.isNaN(served) ? row.value("readsPerSecond") + row.value("writesPerSecond") : served;
  const isQueueing = row.value("queuedRequests") > 0 && row.value("busyWorkers") >= row.value("workers");
  return {
    rps: isQueueing ? Number.NaN : rps,
    signals: Object.fromEntries(signals.map((name) => [name, row.value(name)])),
    workers: row.value("workers"),
  };
}

function meanSample(rows: readonly LoadSample[], signals: readonly BindingSignal[]): LoadSample {
  const mean = (pick: (row: LoadSample) => number) =>
    rows.reduce((sum, row) => sum + pick(row), 0) / rows.length;
  return {
    rps: mean(({ rps }) => rps),
    signals: Object.fromEntries(
      signals.map((signal) => [signal, mean((row) => row.signals[signal] ?? Number.NaN)]),
    ),
    workers: mean(({ workers }) => workers),
  };
}

/** What an instance carries when its binding signal is at its limit; `target` is the policy's. */
export function fullInstanceRps(
  { instanceRps, bindingSignal, curves, learned }: CapacityView,
  target: number,
): number {
  const curve = learned ? curves.find(({ signal }) => signal === bindingSignal) : undefined;
  return curve ? (curve.target / target - curve.intercept) / curve.slope : instanceRps / target;
}

/** Fits every signal and finds the one that binds; without one the configured first guess holds. */
export function fitCapacity(samples: readonly LoadSample[], policy: CapacityPolicy): CapacityView {
  const fitted = policy.signals.flatMap((signal) => fitSignal(samples, signal, policy) ?? []);
  const curves = fitted.map(({ curve }) => curve);
  const binding = fitted
    .filter(({ carriesRps }) => carriesRps > 0)
    .reduce<Fitted | undefined>((a, b) => (a && a.carriesRps <= b.carriesRps ? a : b), undefined);
  if (!binding) return unlearned(policy, curves);
  return { instanceRps: binding.carriesRps, bindingSignal: binding.curve.signal, curves, learned: true };
}

function unlearned({ signals, initialRps }: CapacityPolicy, curves: readonly Curve[]): CapacityView {
  return { instanceRps: initialRps, bindingSignal: signals[0] ?? "", curves, learned: false };
}

type Fitted = {
  readonly curve: Curve;
  /** Rate at the target; NaN when the line cannot say. */
  readonly carriesRps: number;
};

function fitSignal(
  samples: readonly LoadSample[],
  signal: BindingSignal,
  { target, limits }: CapacityPolicy,
): Fitted | undefined {
  const limit = limitOf(samples, signal, limits);
  const usable = samples.filter((sample) => isUsable(sample, signal, limit));
  const rates = usable.map(({ rps }) => rps);
  const values = usable.map(({ signals }) => signals[signal]!);
  // Strictly below: an instance that is never asked has rates of 0 only, and no line goes through one point.
  if (usable.length < SAMPLES_MIN || !(Math.min(...rates) < VARIETY_MAX * Math.max(...rates)))
    return undefined;
  const fitted = new TheilSenRegression(rates, values);
  const { r2 } = fitted.score(rates, values);
  const { intercept, slope } = signal === "busyWorkers" ? lineOfLittle(rates, values) : fitted;
  if (!Number.isFinite(slope + intercept)) return undefined;
  const rSquared = Number.isFinite(r2) ? r2 : 0;
  const curve = { signal, intercept, slope, target: target * limit, rSquared, samples: usable.length };
  const isSeen = Math.max(...values) >= SEEN_MIN * limit;
  const says = isSeen && slope > 0 && rSquared >= R_SQUARED_MIN;
  return { curve, carriesRps: says ? (curve.target - intercept) / slope : Number.NaN };
}

/** Through the origin, with the median service time as its slope. */
function lineOfLittle(rates: readonly number[], busy: readonly number[]): Pick<Curve, "intercept" | "slope"> {
  const serviceTimes = busy.map((value, i) => value / rates[i]!).filter(Number.isFinite);
  return { intercept: 0, slope: median(serviceTimes) };
}

function isUsable({ rps, signals }: LoadSample, signal: BindingSignal, limit: number): boolean {
  const value = signals[signal] ?? Number.NaN;
  return Number.isFinite(rps) && Number.isFinite(value) && !(value > SATURATED * limit);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

/** NaN when nothing says how far a signal can go. */
function limitOf(
  samples: readonly LoadSample[],
  signal: BindingSignal,
  limits: CapacityPolicy["limits"],
): number {
  if (signal === "busyWorkers") return samples.findLast(({ workers }) => workers > 0)?.workers ?? Number.NaN;
  return limits[signal] ?? Number.NaN;
}
