import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { readSpans, spansOfDecision } from "./spans.ts";

const span = (traceId: string, service: string, name = "") => ({ traceId, service, name });

test("only traces from a sample to the load balancer count, and their median is told", () => {
  const whole = (id: string, more: number) => [
    span(id, "collector"),
    span(id, "balancer", "lb.apply"),
    ...Array.from({ length: more }, () => span(id, "predictor")),
  ];
  assert.equal(
    spansOfDecision([...whole("a", 1), ...whole("b", 3), ...whole("c", 9), span("d", "health")]),
    5,
  );
  assert.equal(spansOfDecision([span("a", "collector"), span("b", "balancer", "lb.apply")]), 0);
  const decidedOnly = [span("a", "collector"), span("a", "balancer", "decide")];
  assert.equal(spansOfDecision(decidedOnly), 0, "nothing was told to a load balancer");
});

test("spans of all services are read from their files", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "spans-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "a.jsonl"), '{"traceId":"1"}\n{"traceId":"2"}\n');
  writeFileSync(join(folder, "b.jsonl"), '{"traceId":"3"}\n');
  writeFileSync(join(folder, "b.log"), "no spans");
  assert.deepEqual(
    readSpans(folder)
      .map(({ traceId }) => traceId)
      .toSorted(),
    ["1", "2", "3"],
  );
});
