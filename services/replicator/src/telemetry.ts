/** The replicator's metric and span names, in one table, and the spans of a change of primary, drawn from its states. */

import {
  type Context,
  createNoopMeter,
  type Meter,
  ROOT_CONTEXT,
  type Span,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { ResourceState, Takeover } from "./resource-state.ts";

export const METRICS = {
  barrierMs: "replicator_barrier_ms",
  barriersRefused: "replicator_barriers_refused_total",
  stepMs: "replicator_takeover_step_ms",
  takeoverMs: "replicator_takeover_ms",
  instancesLost: "replicator_instances_lost_total",
  sentBytes: "replicator_mirror_sent_bytes_total",
} as const;
export const SPANS = {
  takeover: "takeover",
  step: (step: string) => `takeover.${step}`,
  barrier: "barrier",
} as const;

const MS_BOUNDARIES = [0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000];

export type Instruments = ReturnType<typeof createInstruments>;

export function createInstruments({ meter, tracer }: { meter: Meter; tracer: Tracer }) {
  const histogram = (name: string, description: string) =>
    meter.createHistogram(name, {
      description,
      unit: "ms",
      advice: { explicitBucketBoundaries: MS_BOUNDARIES },
    });
  return {
    tracer,
    barrierMs: histogram(METRICS.barrierMs, "From the call of a Barrier to its success"),
    barriersRefused: meter.createCounter(METRICS.barriersRefused, {
      description: "Barriers that failed, by reason",
    }),
    stepMs: histogram(METRICS.stepMs, "One step of a change of primary"),
    takeoverMs: histogram(
      METRICS.takeoverMs,
      "A change of primary, from the decision to the new primary told",
    ),
    sentBytes: meter.createCounter(METRICS.sentBytes, {
      description: "Bytes of mirror data sent, by resource, host of the shadow and kind (seed, delta)",
      unit: "By",
    }),
    instancesLost: meter.createCounter(METRICS.instancesLost, {
      description: "Instances found dead or broken",
    }),
  };
}

/** What is measured now: nothing until telemetry is there. */
export type Measures = () => Instruments;

export function lateInstruments(telemetry: Promise<{ meter: Meter; tracer: Tracer }>): Measures {
  let present = createInstruments({ meter: createNoopMeter(), tracer: trace.getTracer("none yet") });
  telemetry.then(
    (loaded) => {
      present = createInstruments(loaded);
    },
    // Whoever loads it fails with the service.
    () => undefined,
  );
  return () => present;
}

export type TakeoverTrace = {
  observe(before: ResourceState, after: ResourceState): void;
  /** The change of primary under way, as parent for what is published about it. */
  context(): Context;
};

type Open = { readonly root: Span; step: Span; stepStartedMs: number; readonly startedMs: number };

/** `nowMs` is a monotonic clock. */
export function traceTakeovers(measures: Measures, nowMs: () => number): TakeoverTrace {
  let open: Open | undefined;

  function begin({
    resource,
    takeover,
  }: ResourceState & { takeover: Extract<Takeover, { epoch: number }> }): void {
    const { cause, epoch, reason, step } = takeover;
    const root = measures().tracer.startSpan(
      SPANS.takeover,
      { attributes: { resource, cause, epoch, reason } },
      ROOT_CONTEXT,
    );
    open = { root, step: stepSpan(root, step), stepStartedMs: nowMs(), startedMs: nowMs() };
  }
  const stepSpan = (root: Span, step: string) =>
    measures().tracer.startSpan(SPANS.step(step), {}, trace.setSpan(ROOT_CONTEXT, root));

  function endStep(step: string): void {
    open?.step.end();
    if (open) measures().stepMs.record(nowMs() - open.stepStartedMs, { step });
  }
  function end(outcome: string): void {
    open?.root.setAttribute("outcome", outcome).end();
    if (open && outcome === "done") measures().takeoverMs.record(nowMs() - open.startedMs);
    open = undefined;
  }

  return {
    observe: (before, after) => {
      const [was, is] = [before.takeover, after.takeover];
      if (was.step === is.step) return;
      if ("epoch" in was) endStep(was.step);
      if (!("epoch" in is))
        return "epoch" in was
          ? end(is.step === "idle" && was.step === "promoting" ? "done" : "given up")
          : undefined;
      if (!open) return begin({ ...after, takeover: is });
      open.step = stepSpan(open.root, is.step);
      open.stepStartedMs = nowMs();
    },
    context: () => (open ? trace.setSpan(ROOT_CONTEXT, open.root) : ROOT_CONTEXT),
  };
}
