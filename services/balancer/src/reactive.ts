/**
 * The reactive opponent: what a good autoscaler without a forecast does. Once a second it takes the mean share of busy
 * workers, or of processors in use, over the instances that serve, and wants as many instances as would bring it to the target; it follows up at
 * once and down only after a hold time. (The formula, the tolerance and the hold are those of the Kubernetes HPA.)
 */

import type { ResourceSpec } from "@understudy/model/policy";
import type { Busy } from "./inputs.ts";
import { clampShadows, holdPeaks, type Scale } from "./scale.ts";

const LOOP_MS = 1_000;
/** Busy workers this near to the target change nothing (HPA's own tolerance). */
const TOLERANCE = 0.1;

export type Reactive = {
  /** Samples since the last look. */
  readonly busy: readonly { readonly part: number; readonly serving: number }[];
  readonly lookedAtMs: number;
  /** What the last look saw; NaN before the first. */
  readonly busyPart: number;
};

export const NO_REACTIVE: Reactive = { busy: [], lookedAtMs: 0, busyPart: Number.NaN };

const SAMPLES_MAX = 64;

/**
 * One batch of metrics. Instances that report nothing (not started, away) do not count. Of an application that reports no
 * workers the processors that an instance may use are taken for them, as the HPA does.
 */
export function noteBusy(
  reactive: Reactive,
  instances: readonly Busy[],
  { cpuCores: limit }: ResourceSpec["capacity"]["limits"],
): Reactive {
  const reported = instances.some(({ workers }) => workers > 0);
  const seen = reported
    ? instances
    : instances.map(({ cpuCores }) => ({ busyWorkers: cpuCores, workers: limit ?? Number.NaN }));
  const known = seen.filter(({ busyWorkers, workers }) => workers > 0 && busyWorkers >= 0);
  if (known.length === 0) return reactive;
  const busy = known.reduce((sum, one) => sum + one.busyWorkers, 0);
  const all = known.reduce((sum, one) => sum + one.workers, 0);
  return {
    ...reactive,
    busy: [...reactive.busy, { part: busy / all, serving: known.length }].slice(-SAMPLES_MAX),
  };
}

export function scaleByBusy(
  { scale, reactive }: { scale: Scale; reactive: Reactive },
  { spec, nowMs }: { spec: ResourceSpec; nowMs: number },
): { scale: Scale; reactive: Reactive } {
  if (nowMs - reactive.lookedAtMs < LOOP_MS || reactive.busy.length === 0) return { scale, reactive };
  const busyPart = meanOf(reactive.busy.map(({ part }) => part));
  const serving = reactive.busy.at(-1)!.serving;
  const needed = neededByBusy({ busyPart, serving, wanted: scale.wanted }, spec.forecast.reactiveTarget);
  const held = holdPeaks(scale, { needed, holdMs: spec.forecast.reactiveHoldMs, nowMs });
  return {
    scale: { ...held, wanted: clampShadows(held.wanted, spec) },
    reactive: { busy: [], lookedAtMs: nowMs, busyPart },
  };
}

/** Shadows wanted by one look. */
export function neededByBusy(
  { busyPart, serving, wanted }: { busyPart: number; serving: number; wanted: number },
  target: number,
): number {
  if (Math.abs(busyPart / target - 1) <= TOLERANCE) return wanted;
  return Math.max(0, Math.ceil((serving * busyPart) / target - 1e-9) - 1);
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
