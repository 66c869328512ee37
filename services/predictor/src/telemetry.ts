/** Names of the predictor's metrics and spans, in one table, and what records them. */

import { type Context, type Meter, type Span, type Tracer, trace } from "@opentelemetry/api";
import type { Log } from "@understudy/service/log";
import type { PredictionView } from "./decide.ts";

export const METRICS = {
  predictions: "predictor_predictions",
  rejects: "predictor_rejects",
  publishFailures: "predictor_publish_failures",
  skipped: "predictor_skipped",
  delay: "predictor_sample_to_prediction_ms",
  demand: "predictor_demand_rps",
  instanceCapacity: "predictor_instance_capacity_rps",
  pinball: "predictor_pinball95",
  coverage: "predictor_coverage95",
  coverageOfLevel: "predictor_coverage",
  falseAlarmRate: "predictor_false_alarm_rate",
  quietTicks: "predictor_quiet_ticks",
  period: "predictor_period_ms",
  alarm: "predictor_alarm",
} as const;

const GAUGES = [
  "demand",
  "instanceCapacity",
  "pinball",
  "coverage",
  "falseAlarmRate",
  "quietTicks",
  "period",
  "alarm",
] as const satisfies readonly (keyof typeof METRICS)[];

export const SPANS = { predict: "predict" } as const;

const DELAY_BUCKETS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500];

export type Instruments = {
  /** Opens the span of one prediction as a child of the batch's; `within` goes into the message's headers. */
  begin(prediction: PredictionView, parent: Context): { readonly span: Span; readonly within: Context };
  published(prediction: PredictionView, delayMs: number): void;
  /** A newer prediction took its place before the bus had taken the last one. */
  skipped(): void;
  rejected(reason: string, parent: Context): void;
  publishFailed(error: unknown): void;
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
  const predictions = meter.createCounter(METRICS.predictions, { description: "Predictions published" });
  const rejects = meter.createCounter(METRICS.rejects, { description: "Messages or rows that were refused" });
  const failures = meter.createCounter(METRICS.publishFailures, {
    description: "Predictions that the bus did not take",
  });
  const skips = meter.createCounter(METRICS.skipped, { description: "Predictions overtaken by a newer one" });
  const delay = meter.createHistogram(METRICS.delay, {
    description: "Time from sample to published prediction",
    advice: { explicitBucketBoundaries: DELAY_BUCKETS_MS },
  });
  const gauges = GAUGES.map((name) => [name, meter.createGauge(METRICS[name])] as const);
  const coverage = meter.createGauge(METRICS.coverageOfLevel, {
    description: "Part of the truths at or below the quantile of this level",
  });
  let failing = false;

  return {
    begin(prediction, parent) {
      const { resource, demand } = prediction;
      const attributes = { resource, ready: demand.ready, "sampled.ms": prediction.sampledMs };
      const span = tracer.startSpan(SPANS.predict, { attributes }, parent);
      return { span, within: trace.setSpan(parent, span) };
    },
    published(prediction, delayMs) {
      failing = false;
      const { resource } = prediction;
      predictions.add(1, { resource });
      delay.record(delayMs);
      const values = gaugesOf(prediction);
      for (const [name, gauge] of gauges) {
        if (Number.isFinite(values[name])) gauge.record(values[name], { resource });
      }
      for (const [q, part] of prediction.demand.scorecard.coverage.entries()) {
        const level = String(prediction.demand.levels[q]);
        if (Number.isFinite(part)) coverage.record(part, { resource, level });
      }
    },
    skipped: () => skips.add(1),
    rejected(reason, parent) {
      rejects.add(1);
      log.warn("a message was refused", { reason, trace: parent });
    },
    publishFailed(error) {
      failures.add(1);
      // Once per outage, not ten times a second.
      if (!failing) log.warn("predictions do not reach the bus", { error });
      failing = true;
    },
  };
}

function gaugesOf({ demand, capacity, stepMs }: PredictionView): Record<(typeof GAUGES)[number], number> {
  return {
    demand: demand.now.movableRps + demand.now.immovableRps,
    instanceCapacity: capacity.instanceRps,
    pinball: demand.scorecard.pinball95,
    coverage: demand.scorecard.coverage95,
    falseAlarmRate: demand.scorecard.falseAlarmRate,
    quietTicks: demand.scorecard.quietTicks,
    period: demand.scorecard.periodSteps * stepMs,
    alarm: demand.alarm.raised ? 1 : 0,
  };
}
