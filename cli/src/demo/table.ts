/** The report for people: one column per policy, what it harmed beside what it cost. */

import type { PolicyReport } from "./report.ts";

type Row = { readonly label: string; readonly value: (report: PolicyReport) => string };

const ROWS: readonly (Row | "")[] = [
  { label: "harm: overload seconds", value: (r) => String(r.overloadSeconds) },
  { label: "cost: shadow seconds", value: (r) => r.shadowSeconds.toFixed(0) },
  {
    label: "help in force before saturation, s",
    value: (r) => (r.leadSeconds === null ? "-" : r.leadSeconds.toFixed(1)),
  },
  "",
  { label: "requests", value: (r) => String(r.requests) },
  { label: "failed", value: (r) => String(r.failed) },
  { label: "failed, though safe to repeat", value: (r) => String(r.failedIdempotent) },
  { label: "latency p50, ms", value: (r) => r.p50Ms.toFixed(0) },
  { label: "latency p99, ms", value: (r) => r.p99Ms.toFixed(0) },
  { label: "over the objective of 200 ms, %", value: (r) => r.overSloPct.toFixed(2) },
  { label: "stale reads, %", value: (r) => r.staleReadPct.toFixed(3) },
  { label: "flaps", value: (r) => String(r.flaps) },
  "",
  {
    label: "failover, ms to the next good write",
    value: (r) => (r.failoverMs === null ? "-" : r.failoverMs.toFixed(0)),
  },
  { label: "failed in it, though safe to repeat", value: (r) => String(r.failedIdempotentInFailover) },
  { label: "acknowledged critical writes lost", value: (r) => String(r.criticalWritesLost) },
  { label: "acknowledged other writes lost", value: (r) => String(r.asyncWritesLost) },
  "",
  { label: "state, KiB", value: (r) => (r.stateBytes / 1024).toFixed(0) },
  { label: "sent as deltas, KiB", value: (r) => (r.deltaBytes / 1024).toFixed(0) },
  { label: "spans from sample to load balancer", value: (r) => String(r.traceSpans) },
  { label: "load generator late (p99), ms", value: (r) => r.lateP99Ms.toFixed(1) },
  {
    label: "machine: stolen, other load, %",
    value: (r) => `${r.stealPct.toFixed(0)}, ${r.otherLoadPct.toFixed(0)}`,
  },
  { label: "valid", value: (r) => (r.valid ? "yes" : "no") },
];

const LABEL_WIDTH = 38;
const COLUMN_WIDTH = 13;

export function renderTable(reports: Readonly<Record<string, PolicyReport>>): string {
  const columns = Object.entries(reports);
  const head = " ".repeat(LABEL_WIDTH) + columns.map(([policy]) => policy.padStart(COLUMN_WIDTH)).join("");
  const rows = ROWS.map((row) =>
    row === ""
      ? ""
      : row.label.padEnd(LABEL_WIDTH) +
        columns.map(([, report]) => row.value(report).padStart(COLUMN_WIDTH)).join(""),
  );
  return [head, ...rows].join("\n");
}
