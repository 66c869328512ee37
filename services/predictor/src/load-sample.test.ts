import assert from "node:assert/strict";
import { test } from "node:test";
import { readBatch } from "./batch.ts";
import { type Measured, metricBatch, START_MS } from "./fixtures.ts";
import { createLoadBlocks, type LoadSample } from "./load-sample.ts";

const TICK = { instance: "c-1", servedPerSecond: 50, busyWorkers: 2, workers: 8, queuedRequests: 0 };
const BYTES = { requestBytesPerSecond: 10_000, responseBytesPerSecond: 90_000 };

/** The samples that come of ticks of 100 ms, each of them a row or several. */
function samplesOf(ticks: readonly (readonly Measured[])[]): LoadSample[] {
  const blocks = createLoadBlocks(["busyWorkers"]);
  return ticks.flatMap((rows, index) => {
    const atMs = START_MS + 100 * index;
    const read = readBatch(metricBatch(rows, { atMs }), atMs);
    assert.ok("batch" in read);
    return read.batch.rows.flatMap((row) => blocks.add(row, atMs) ?? []);
  });
}

const repeat = (count: number, row: (index: number) => Measured[]) =>
  Array.from({ length: count }, (_, index) => row(index));

test("three seconds of ticks are one sample: means of the rate, the signals and the bytes", () => {
  const samples = samplesOf(repeat(31, (i) => [{ ...TICK, ...BYTES, busyWorkers: i % 2 === 0 ? 1 : 3 }]));
  assert.equal(samples.length, 1);
  const { rps, bytesPerSecond, signals, workers } = samples[0]!;
  assert.deepEqual([rps, bytesPerSecond, workers], [50, 100_000, 8]);
  assert.ok(Math.abs(signals.busyWorkers! - 2) < 0.05);
});

test("bytes that came for most ticks count, for few they are unknown", () => {
  const [most] = samplesOf(repeat(31, (i) => [{ ...TICK, ...(i % 3 !== 0 && BYTES) }]));
  assert.equal(most?.bytesPerSecond, 100_000);
  const [few] = samplesOf(repeat(31, (i) => [{ ...TICK, ...(i % 3 === 0 && BYTES) }]));
  assert.equal(few?.bytesPerSecond, Number.NaN);
});

test("requests that queue, or a gap, begin a new block", () => {
  assert.equal(
    samplesOf(repeat(60, (i) => [{ ...TICK, ...(i % 20 === 0 && { busyWorkers: 8, queuedRequests: 3 }) }]))
      .length,
    0,
  );
});

test("rows of an instance elsewhere, which only the load balancer's host has, do not break its blocks", () => {
  const blocks = createLoadBlocks(["busyWorkers"]);
  let found: LoadSample[] = [];
  for (let index = 0; index < 31; index += 1) {
    const atMs = START_MS + 100 * index;
    for (const row of [TICK, { instance: "c-1", ...BYTES }]) {
      const read = readBatch(metricBatch([row], { atMs }), atMs);
      assert.ok("batch" in read);
      found = [...found, ...read.batch.rows.flatMap((one) => blocks.add(one, atMs) ?? [])];
    }
  }
  assert.deepEqual(
    found.map(({ rps, signals }) => [rps, signals.busyWorkers]),
    [[50, 2]],
  );
});
