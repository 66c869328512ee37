/** Names of the collector's metrics and spans, in one table, and what records them. */

import type { Meter } from "@opentelemetry/api";
import type { Log } from "@understudy/service/log";

export const METRICS = {
  tickMs: "collector_tick_ms",
  skipped: "collector_ticks_skipped",
  dropped: "collector_batches_dropped",
  missing: "collector_readings_missing",
  publishFailures: "collector_publish_failures",
} as const;

/** The root of each trace: sample, prediction, decision, balancer. */
export const SPANS = { collect: "collect" } as const;

export type Source = "application" | "balancer" | "process";

export type Instruments = {
  collected(tookMs: number): void;
  skipped(ticks: number): void;
  dropped(): void;
  missing(source: Source, count: number): void;
  published(): void;
  publishFailed(error: Error): void;
  readFailed(source: Source, error: Error): void;
};

export function createInstruments({ meter, log }: { meter: Meter; log: Log }): Instruments {
  const tick = meter.createHistogram(METRICS.tickMs, { description: "From tick to batch", unit: "ms" });
  const skipped = meter.createCounter(METRICS.skipped, {
    description: "Ticks left out because we were late",
  });
  const dropped = meter.createCounter(METRICS.dropped, { description: "Batches the bus was too slow for" });
  const missing = meter.createCounter(METRICS.missing, {
    description: "Readings that a tick did without, by source",
  });
  const failures = meter.createCounter(METRICS.publishFailures, {
    description: "Batches the bus did not take",
  });
  let failing = false;
  return {
    collected: (tookMs) => tick.record(tookMs),
    skipped: (ticks) => skipped.add(ticks),
    dropped: () => dropped.add(1),
    missing(source, count) {
      if (count > 0) missing.add(count, { source });
    },
    published() {
      failing = false;
    },
    publishFailed(error) {
      failures.add(1);
      // Once per outage: there are ten batches a second.
      if (!failing) log.warn("metrics do not reach the bus", { error });
      failing = true;
    },
    // Every tick of an instance that starts or dies has one: the count above is what to look at.
    readFailed: (source, error) => log.debug("reading failed", { source, error }),
  };
}
