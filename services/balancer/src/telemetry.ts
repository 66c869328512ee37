/** Names of the balancer's metrics and spans, in one table, and what records them. */

import { type Context, type Meter, type Span, SpanStatusCode, type Tracer, trace } from "@opentelemetry/api";
import type { Log } from "@understudy/service/log";
import type { Plan } from "@understudy/traffic/driver";

export const METRICS = {
  decisionMs: "balancer_decision_ms",
  applyMs: "balancer_apply_ms",
  sampleToAppliedMs: "balancer_sample_to_applied_ms",
  applyFailures: "balancer_apply_failures",
  publishFailures: "balancer_publish_failures",
  refused: "balancer_refused_messages",
  worstShareError: "balancer_share_error_ppm",
} as const;

export const SPANS = { decide: "decide", apply: "lb.apply" } as const;

const MS_BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

export type Instruments = {
  /** Opens the span of a decision as a child of what led to it. */
  deciding(parent: Context, event: string): { span: Span; within: Context };
  decided(tookMs: number): void;
  applying(parent: Context, plan: Plan): Span;
  applied(about: {
    span: Span;
    resource: string;
    tookMs: number;
    sampleToAppliedMs: number | undefined;
  }): void;
  applyFailed(about: { span: Span; resource: string; error: Error }): void;
  published(): void;
  publishFailed(error: unknown): void;
  refused(what: string, error: unknown): void;
  measured(resource: string, worstPpm: number): void;
};

export function createInstruments({
  meter,
  tracer,
  log,
}: {
  meter: Meter;
  tracer: Tracer;
  log: Log;
}): Instruments {
  const histogram = (name: string, description: string) =>
    meter.createHistogram(name, { description, advice: { explicitBucketBoundaries: MS_BOUNDS } });
  const decisionMs = histogram(METRICS.decisionMs, "Time a decision takes");
  const applyMs = histogram(METRICS.applyMs, "From a plan to the load balancer's answer");
  const sampleToAppliedMs = histogram(METRICS.sampleToAppliedMs, "From a sample to the answer to its plan");
  const applyFailures = meter.createCounter(METRICS.applyFailures, {
    description: "Plans that were not applied",
  });
  const publishFailures = meter.createCounter(METRICS.publishFailures, {
    description: "Messages the bus did not take",
  });
  const refusals = meter.createCounter(METRICS.refused, { description: "Messages that could not be used" });
  const shareError = meter.createGauge(METRICS.worstShareError, {
    description: "Largest distance of a measured share",
  });
  const failing = { apply: false, publish: false };

  return {
    deciding(parent, event) {
      const span = tracer.startSpan(SPANS.decide, { attributes: { event } }, parent);
      return { span, within: trace.setSpan(parent, span) };
    },
    decided: (tookMs) => decisionMs.record(tookMs),
    applying(parent, plan) {
      const attributes = { pool: plan.pool, epoch: plan.epoch, revision: plan.revision };
      return tracer.startSpan(SPANS.apply, { attributes }, parent);
    },
    applied({ span, resource, tookMs, sampleToAppliedMs: sinceSampleMs }) {
      span.end();
      applyMs.record(tookMs, { resource });
      if (sinceSampleMs !== undefined) sampleToAppliedMs.record(sinceSampleMs, { resource });
      if (failing.apply) log.info("plans are applied again", { resource });
      failing.apply = false;
    },
    applyFailed({ span, resource, error }) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
      span.end();
      applyFailures.add(1, { resource });
      // Once per outage: a plan is tried again every 100 ms.
      if (!failing.apply) log.warn("a plan was not applied", { resource, error });
      failing.apply = true;
    },
    published() {
      failing.publish = false;
    },
    publishFailed(error) {
      publishFailures.add(1);
      if (!failing.publish) log.warn("the bus takes nothing; the load balancer keeps its plan", { error });
      failing.publish = true;
    },
    refused(what, error) {
      refusals.add(1, { what });
      log.warn(`${what} refused`, { error });
    },
    measured: (resource, worstPpm) => shareError.record(worstPpm, { resource }),
  };
}
