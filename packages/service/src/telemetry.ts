/**
 * OpenTelemetry of one process: spans to an OTLP endpoint or a file when asked for, metrics in Prometheus' text format.
 * Contexts are passed as values, not through async-local storage: a span's parent is visible in the code.
 */

import { appendFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type Context,
  type Meter,
  metrics,
  propagation,
  SpanStatusCode,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import {
  type ExportResult,
  ExportResultCode,
  hrTimeToMilliseconds,
  W3CTraceContextPropagator,
} from "@opentelemetry/core";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import {
  BatchSpanProcessor,
  ParentBasedSampler,
  type ReadableSpan,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";

const EXPORT_EVERY_MS = 500;
const QUEUE_MAX = 8_192;

export type Telemetry = {
  readonly tracer: Tracer;
  readonly meter: Meter;
  /** Answers a scrape with every metric of this process. */
  serveMetrics(request: IncomingMessage, response: ServerResponse): void;
  close(): Promise<void>;
};

export async function startTelemetry(options: {
  readonly service: string;
  readonly host: string;
  readonly otlpEndpoint: string;
  readonly traceFile: string;
  /** Share of traces kept, 0..1; decided at the root of a trace. */
  readonly sampleRatio?: number;
}): Promise<Telemetry> {
  const resource = resourceFromAttributes({ "service.name": options.service, "host.name": options.host });
  const exporters = await spanExporters(options);
  const provider = new TracerProvider({
    resource,
    sampler: new ParentBasedSampler({ root: new TraceIdRatioBasedSampler(options.sampleRatio ?? 1) }),
    spanProcessors: exporters.map(
      (exporter) =>
        new BatchSpanProcessor({ exporter, scheduledDelayMillis: EXPORT_EVERY_MS, maxQueueSize: QUEUE_MAX }),
    ),
  });
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  const prometheus = new PrometheusExporter({ preventServerStart: true, prefix: "understudy" });
  const meters = new MeterProvider({ resource, readers: [prometheus] });
  metrics.setGlobalMeterProvider(meters);
  return {
    tracer: provider.getTracer(options.service),
    meter: meters.getMeter(options.service),
    serveMetrics: (request, response) => prometheus.getMetricsRequestHandler(request, response),
    close: async () => {
      await Promise.all([provider.shutdown(), meters.shutdown()]);
    },
  };
}

async function spanExporters(options: { otlpEndpoint: string; traceFile: string }): Promise<SpanExporter[]> {
  const exporters: SpanExporter[] = [];
  if (options.traceFile) exporters.push(fileExporter(options.traceFile));
  if (options.otlpEndpoint) {
    // Loaded only when asked for: it costs several MB.
    const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-proto");
    exporters.push(new OTLPTraceExporter({ url: `${options.otlpEndpoint.replace(/\/$/, "")}/v1/traces` }));
  }
  return exporters;
}

/** One span of a trace file. Times in ms since 1970. */
export type SpanRecord = {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId: string;
  readonly service: string;
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Readonly<Record<string, unknown>>;
};

function fileExporter(file: string): SpanExporter {
  return {
    export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
      const lines = spans.map((span) => `${JSON.stringify(recordOf(span))}\n`).join("");
      appendFile(file, lines, { mode: 0o600 }).then(
        () => done({ code: ExportResultCode.SUCCESS }),
        (error: Error) => done({ code: ExportResultCode.FAILED, error }),
      );
    },
    shutdown: async () => undefined,
  };
}

function recordOf(span: ReadableSpan): SpanRecord {
  return {
    traceId: span.spanContext().traceId,
    spanId: span.spanContext().spanId,
    parentId: span.parentSpanContext?.spanId ?? "",
    service: String(span.resource.attributes["service.name"]),
    name: span.name,
    startMs: hrTimeToMilliseconds(span.startTime),
    endMs: hrTimeToMilliseconds(span.endTime),
    attributes: span.attributes,
  };
}

/** Runs `work` inside a span that is a child of `parent`; an error is recorded on the span and thrown on. */
export async function inSpan<T>(
  tracer: Tracer,
  {
    name,
    parent,
    attributes = {},
  }: { name: string; parent: Context; attributes?: Record<string, string | number> },
  work: (within: Context) => Promise<T>,
): Promise<T> {
  const span = tracer.startSpan(name, { attributes }, parent);
  try {
    return await work(trace.setSpan(parent, span));
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR, message: (error as Error).message });
    throw error;
  } finally {
    span.end();
  }
}
