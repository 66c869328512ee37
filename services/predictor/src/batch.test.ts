import assert from "node:assert/strict";
import { test } from "node:test";
import type { MetricBatch } from "@understudy/wire/gen/metrics";
import fc from "fast-check";
import { readBatch } from "./batch.ts";
import { metricBatch, START_MS } from "./fixtures.ts";

const good = () =>
  metricBatch(
    [
      { readsPerSecond: 90, writesPerSecond: 10 },
      { instance: "catalog-1", busyWorkers: 4 },
    ],
    {
      atMs: START_MS,
      links: [
        { toHost: "host-b", roundTripMs: 0.4, loss: 0.05 },
        { toHost: "host-c", roundTripMs: Number.NaN, loss: 1 },
      ],
    },
  );

function reasonFor(change: (message: MetricBatch) => void): string {
  const message = good();
  change(message);
  const read = readBatch(message, START_MS);
  return "reason" in read ? read.reason : "";
}

test("reads rows by name, whatever the order of the columns", () => {
  fc.assert(
    fc.property(fc.shuffledSubarray([0, 1, 2], { minLength: 3 }), (order) => {
      const message = good();
      message.columns = order.map((index) => message.columns[index]!);
      const read = readBatch(message, START_MS);
      assert.ok("batch" in read);
      const [resource, instance] = read.batch.rows;
      assert.equal(resource!.value("readsPerSecond"), 90);
      assert.equal(resource!.value("writesPerSecond"), 10);
      assert.equal(instance!.value("busyWorkers"), 4);
      assert.ok(Number.isNaN(instance!.value("cpuCores")));
    }),
  );
});

test("says what is wrong with a batch that cannot be used", () => {
  const wrong: [(message: MetricBatch) => void, RegExp][] = [
    [(m) => m.columns[0]!.values.push(1), /readsPerSecond has 3 values for 2 rows/],
    [(m) => m.columns.push(m.columns[0]!), /readsPerSecond is there twice/],
    [(m) => m.rows.push(m.rows[1]!), /catalog\/catalog-1 is there twice/],
    [(m) => (m.columns[0]!.values[0] = Number.POSITIVE_INFINITY), /catalog\/: readsPerSecond is Infinity/],
    [(m) => (m.columns[0]!.values[0] = 1e20), /readsPerSecond is 1/],
    [(m) => (m.columns[1]!.values[0] = -1), /writesPerSecond is -1/],
    [(m) => (m.rows[0]!.resource = "a.>"), /not named by DNS labels/],
    [(m) => (m.links[0]!.toHost = "a.>"), /link to "a\.>" is not named by a DNS label/],
    [(m) => m.links.push(m.links[1]!), /link to host-c is there twice/],
    [(m) => (m.links[0]!.roundTripMs = -1), /link to host-b: roundTripMs is -1/],
    [(m) => (m.links[0]!.roundTripMs = 1e9), /link to host-b: roundTripMs is 1000000000/],
    [(m) => (m.links[1]!.loss = 1.5), /link to host-c: loss is 1\.5/],
    [(m) => (m.links[1]!.loss = Number.NEGATIVE_INFINITY), /link to host-c: loss is -Infinity/],
    [(m) => (m.links = Array(1_001).fill(m.links[0])), /1001 links, at most 1000/],
    [(m) => (m.host = ""), /host "" is not a DNS label/],
    [(m) => (m.intervalMs = 0), /interval_ms is 0/],
    [(m) => (m.header!.time!.wallMs = BigInt(START_MS + 60_000)), /60000 ms ahead of our clock/],
    [(m) => (m.header!.time!.wallMs = BigInt(START_MS - 3_600_000)), /more than 60000 ms ago/],
  ];
  for (const [change, reason] of wrong) assert.match(reasonFor(change), reason);
});

test("columns of a newer collector are left alone, whatever they hold", () => {
  assert.equal(
    reasonFor((message) => {
      message.columns[2]!.name = "temperatureCelsius";
      message.columns[2]!.values = [-300, Number.NEGATIVE_INFINITY];
    }),
    "",
  );
});
