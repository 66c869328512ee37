/** Names of the health service's metrics and spans, in one table, and what records them. */

import { type Context, type Meter, ROOT_CONTEXT, type Tracer, trace } from "@opentelemetry/api";
import type { Verdict } from "@understudy/model/instance";
import type { Log } from "@understudy/service/log";

export const METRICS = {
  watched: "health_watched_instances",
  changes: "health_verdict_changes",
  publishFailures: "health_publish_failures",
} as const;

export const SPANS = { verdict: "health.verdict" } as const;

export type Instruments = {
  watched(count: number): void;
  /** Returns the context of the change's span, for the message that tells of it. */
  changed(verdict: Verdict): Context;
  published(): void;
  publishFailed(error: Error): void;
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
  const watched = meter.createGauge(METRICS.watched, { description: "Instances under watch" });
  const changes = meter.createCounter(METRICS.changes, { description: "Changes of verdicts, by new state" });
  const failures = meter.createCounter(METRICS.publishFailures, {
    description: "Verdicts the bus did not take",
  });
  let failing = false;
  return {
    watched: (count) => watched.record(count),
    changed(verdict) {
      const { resource, instance, incarnation, state } = verdict;
      changes.add(1, { resource, state });
      const evidence = verdict.evidence.map(({ signal, detail }) => `${signal}: ${detail}`).join("; ");
      const span = tracer.startSpan(SPANS.verdict, {
        attributes: { resource, instance, incarnation, state, evidence },
      });
      span.end();
      const within = trace.setSpan(ROOT_CONTEXT, span);
      log.info("verdict", { resource, instance, incarnation, state, evidence, trace: within });
      return within;
    },
    published() {
      failing = false;
    },
    publishFailed(error) {
      failures.add(1);
      // Once per outage, not once per verdict: repeats come every second for each instance.
      if (!failing) log.warn("verdicts do not reach the bus; they go on over gRPC", { error });
      failing = true;
    },
  };
}
