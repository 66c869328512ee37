import assert from "node:assert/strict";
import { test } from "node:test";
import { createCounters, renderMetrics } from "./metrics.ts";

test("metrics are Prometheus text: each with its type, labels only where there are kinds", () => {
  const counters = createCounters();
  counters.reads = 5;
  counters.writes = 2;
  const text = renderMetrics(counters, { busy: 3, size: 8, queued: 1 });
  for (const line of text.trimEnd().split("\n")) {
    assert.match(line, /^# (HELP|TYPE) catalog_\w+ .+$|^catalog_\w+(\{kind="(read|write)"\})? \d+$/);
  }
  assert.match(text, /^catalog_busy_workers 3$/m);
  assert.match(text, /^catalog_requests_total\{kind="write"\} 2$/m);
  assert.match(text, /^catalog_served_total 7$/m);
});
