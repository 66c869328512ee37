import assert from "node:assert/strict";
import { test } from "node:test";
import type { PolicyReport } from "./report.ts";
import { renderTable } from "./table.ts";

const REPORT: PolicyReport = {
  requests: 70_000,
  failed: 0,
  failedIdempotent: 0,
  failedIdempotentInFailover: 0,
  p50Ms: 41,
  p99Ms: 130,
  sloMs: 200,
  overSloPct: 0.1,
  overloadSeconds: 1,
  shadowSeconds: 250,
  staleReadPct: 0.01,
  leadSeconds: 3.4,
  failoverMs: 420,
  criticalWritesLost: 0,
  asyncWritesLost: 2,
  deltaBytes: 2048,
  stateBytes: 4096,
  flaps: 1,
  traceSpans: 6,
  valid: true,
  lateP99Ms: 1,
  stealPct: 0,
  otherLoadPct: 3,
};

test("each policy's cost stands beside its harm, in a column of its own", () => {
  const reports = { predictive: REPORT, reactive: { ...REPORT, overloadSeconds: 22, leadSeconds: null } };
  const lines = renderTable(reports).split("\n");
  assert.match(lines[0]!, /^ +predictive +reactive$/);
  assert.match(lines[1]!, /^harm: overload seconds +1 +22$/);
  assert.match(lines[2]!, /^cost: shadow seconds +250 +250$/);
  assert.match(lines[3]!, / 3\.4 +-$/);
  assert.ok(lines.filter(Boolean).every((line) => line.length === lines[0]!.length));
});
