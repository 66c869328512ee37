/** Counts what one decision's trace is made of, from the span files that the services write. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SpanRecord } from "@understudy/service/telemetry";

const FILES_BYTES_MAX = 256 * 1024 * 1024;

export function readSpans(folder: string): SpanRecord[] {
  const spans: SpanRecord[] = [];
  let bytes = 0;
  for (const name of readdirSync(folder).filter((file) => file.endsWith(".jsonl"))) {
    const text = readFileSync(join(folder, name), "utf8");
    bytes += text.length;
    if (bytes > FILES_BYTES_MAX) break;
    for (const line of text.split("\n")) if (line !== "") spans.push(JSON.parse(line) as SpanRecord);
  }
  return spans;
}

/** Of the balancer: a load balancer was told a plan, or asked about it. */
const APPLY = "lb.apply";

/** Median number of spans of the traces that reached a load balancer, from the collector on; 0 when none did. */
export function spansOfDecision(spans: readonly Pick<SpanRecord, "traceId" | "service" | "name">[]): number {
  const traces = new Map<string, { count: number; sampled: boolean; applied: boolean }>();
  for (const { traceId, service, name } of spans) {
    const trace = traces.get(traceId) ?? { count: 0, sampled: false, applied: false };
    trace.count += 1;
    trace.sampled ||= service === "collector";
    trace.applied ||= name === APPLY;
    traces.set(traceId, trace);
  }
  const whole = [...traces.values()].filter(({ sampled, applied }) => sampled && applied);
  const counts = whole.map(({ count }) => count).sort((a, b) => a - b);
  return counts[Math.floor(counts.length / 2)] ?? 0;
}
