/** From counters to rates to columns: resets, gaps, re-creations, and what must be NaN. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { METRIC_NAMES, type MetricName } from "@understudy/model/metric-names";
import type { PoolCounters, TargetCounters } from "@understudy/traffic/driver";
import fc from "fast-check";
import { type Batch, makeBatch, newRates } from "./batch.ts";
import { addProbe, LOSS_OVER, linkReading } from "./links.ts";
import { RateReader, type Rates } from "./rates.ts";
import type { InstanceReading, PoolReading, Readings } from "./reading.ts";

/** Plays ticks 100 ms apart and returns the batches. */
function play(ticks: readonly Omit<Readings, "atMs" | "links">[]): Batch[] {
  let rates = newRates();
  return ticks.map((tick, index) => {
    const made = makeBatch(rates, { links: [], atMs: index * 100, ...tick });
    rates = made.next;
    return made.batch;
  });
}

function value(batch: Batch | undefined, instance: string, name: MetricName): number {
  const row = batch?.rows.findIndex((one) => one.instance === instance) ?? -1;
  assert.ok(batch && row >= 0, `no row of "${instance}"`);
  return batch.columns.find((column) => column.name === name)!.values[row]!;
}

const instance = (tick: number, more: Partial<InstanceReading> = {}): InstanceReading => ({
  resource: "catalog",
  instance: "catalog-1",
  incarnation: "a",
  host: { atMs: tick * 100, cpuSeconds: tick * 0.05, memoryBytes: 1e6, group: undefined, network: undefined },
  application: {
    atMs: tick * 100,
    doubtMs: 0,
    values: { busyWorkers: 3, workers: 8, servedPerSecond: tick * 20 },
  },
  ...more,
});
const target = (name: string, count: number): TargetCounters => ({
  instance: name,
  reads: count * 10,
  writes: count,
  errors: 0,
  inFlight: 2,
  bytesIn: count * 1000,
  bytesOut: count * 5000,
  readUp: true,
  writeUp: true,
});
const counters = (count: number, names: readonly string[] = ["catalog-1"]): PoolCounters => ({
  targets: names.map((name) => target(name, count)),
  readsOffered: count * 30,
  writesOffered: count * 3,
  queued: 4,
  errors: count,
  bytesIn: 0,
  bytesOut: 0,
});
const pool = (tick: number, read: PoolCounters | undefined): PoolReading => ({
  resource: "catalog",
  atMs: tick * 100,
  doubtMs: 0,
  counters: read,
});
const ticks = (count: number) => Array.from({ length: count }, (_, tick) => tick);

describe("a batch", () => {
  it("has every column, one value for each row, and NaN where nothing was measured", () => {
    const [batch] = play([
      { instances: [instance(0, { host: undefined, application: undefined })], pools: [] },
    ]);
    assert.deepEqual(
      batch?.columns.map(({ name }) => name),
      METRIC_NAMES,
    );
    for (const { values } of batch?.columns ?? []) assert.deepEqual(values, [Number.NaN]);
  });

  it("joins what host, application and balancer know of an instance in one row", () => {
    const last = play(
      ticks(12).map((tick) => ({ instances: [instance(tick)], pools: [pool(tick, counters(tick))] })),
    ).at(-1);
    assert.deepEqual(last?.rows, [
      { resource: "catalog", instance: "catalog-1" },
      { resource: "catalog", instance: "" },
    ]);
    assert.ok(Math.abs(value(last, "catalog-1", "cpuCores") - 0.5) < 1e-9);
    assert.equal(value(last, "catalog-1", "memoryBytes"), 1e6);
    assert.equal(value(last, "catalog-1", "busyWorkers"), 3);
    assert.equal(value(last, "catalog-1", "servedPerSecond"), 200);
    assert.equal(value(last, "catalog-1", "readsPerSecond"), 100);
    assert.equal(value(last, "", "readsPerSecond"), 300);
    assert.equal(value(last, "", "writesPerSecond"), 30);
    assert.equal(value(last, "", "balancerQueue"), 4);
    assert.equal(value(last, "", "inFlight"), 2);
    assert.ok(Number.isNaN(value(last, "", "cpuCores")));
  });

  it("lets the balancer's bytes stand for the network of a process that has none of its own", () => {
    const batches = play(
      ticks(2).map((tick) => ({ instances: [instance(tick)], pools: [pool(tick, counters(tick))] })),
    );
    assert.equal(value(batches[1], "catalog-1", "networkReceiveBytesPerSecond"), 10_000);
    assert.equal(value(batches[1], "catalog-1", "networkTransmitBytesPerSecond"), 50_000);
  });

  it("takes the network from the namespace where there is one", () => {
    const own = (tick: number) => {
      const network = { receiveBytes: tick * 7, transmitBytes: tick * 9 };
      return instance(tick, {
        host: { atMs: tick * 100, cpuSeconds: 0, memoryBytes: 1, group: undefined, network },
      });
    };
    const batches = play(
      ticks(2).map((tick) => ({ instances: [own(tick)], pools: [pool(tick, counters(tick))] })),
    );
    assert.equal(value(batches[1], "catalog-1", "networkReceiveBytesPerSecond"), 70);
    assert.equal(value(batches[1], "catalog-1", "networkTransmitBytesPerSecond"), 90);
  });

  it("has rows of targets that run on other hosts", () => {
    const [, batch] = play(
      ticks(2).map((tick) => ({ instances: [], pools: [pool(tick, counters(tick, ["catalog-9"]))] })),
    );
    assert.equal(value(batch, "catalog-9", "readsPerSecond"), 100);
    assert.ok(Number.isNaN(value(batch, "catalog-9", "cpuCores")));
  });

  it("says NaN while the balancer is late, and goes on over the gap", () => {
    const read = [counters(0), counters(1), undefined, counters(3)];
    const batches = play(read.map((one, tick) => ({ instances: [], pools: [pool(tick, one)] })));
    assert.ok(Number.isNaN(value(batches[2], "", "readsPerSecond")));
    assert.equal(value(batches[3], "", "readsPerSecond"), 300);
    assert.equal(value(batches[3], "catalog-1", "readsPerSecond"), 100);
  });

  it("says NaN while the application is late, and goes on over the gap", () => {
    const tick = (at: number) => (at === 2 ? instance(at, { application: undefined }) : instance(at));
    const batches = play(ticks(4).map((at) => ({ instances: [tick(at)], pools: [] })));
    assert.ok(Number.isNaN(value(batches[2], "catalog-1", "busyWorkers")));
    assert.equal(value(batches[3], "catalog-1", "servedPerSecond"), 200);
  });

  it("starts anew when the balancer was restarted", () => {
    const batches = play(
      [5, 6, 0, 1].map((count, tick) => ({ instances: [], pools: [pool(tick, counters(count))] })),
    );
    assert.deepEqual(
      batches.map((batch) => value(batch, "", "readsPerSecond")),
      [Number.NaN, 300, Number.NaN, 300],
    );
  });

  it("does not take a later incarnation, or a target that comes back, for the one before", () => {
    const recreated = instance(3, {
      incarnation: "b",
      application: { atMs: 300, doubtMs: 0, values: { servedPerSecond: 9000 } },
    });
    const names = [["catalog-1"], ["catalog-1"], [], ["catalog-1"]];
    const batches = play(
      names.map((list, tick) => ({
        instances: [tick === 3 ? recreated : instance(tick)],
        pools: [pool(tick, counters(tick === 3 ? 5000 : tick, list))],
      })),
    );
    assert.ok(Number.isNaN(value(batches[3], "catalog-1", "servedPerSecond")));
    assert.ok(Number.isNaN(value(batches[3], "catalog-1", "readsPerSecond")));
  });
});

describe("rates", () => {
  const read = (points: readonly (readonly [number, number])[], windowMs = 0): number[] => {
    let rates: Rates = new Map();
    return points.map(([atMs, count]) => {
      const reader = new RateReader(rates);
      const rate = reader.perSecond("x", { value: count, atMs, doubtMs: 0 }, windowMs);
      rates = reader.next();
      return rate;
    });
  };

  it("are never negative and never infinite, whatever the counter does", () => {
    const point = fc.tuple(fc.integer({ min: 0, max: 5000 }), fc.oneof(fc.nat(1e9), fc.constant(Number.NaN)));
    fc.assert(
      fc.property(fc.array(point), fc.constantFrom(0, 1000), (steps, windowMs) => {
        let atMs = 0;
        const rates = read(
          steps.map(([afterMs, count]) => {
            atMs += afterMs;
            return [atMs, count] as const;
          }),
          windowMs,
        );
        for (const rate of rates) assert.ok(Number.isNaN(rate) || (rate >= 0 && Number.isFinite(rate)));
      }),
    );
  });

  it("of a steady counter are its slope, in any window", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), fc.constantFrom(0, 300, 1000), (slope, windowMs) => {
        const rates = read(
          ticks(30).map((tick) => [tick * 100, tick * slope] as const),
          windowMs,
        );
        for (const rate of rates.slice(1)) assert.ok(Math.abs(rate - slope * 10) < 1e-6);
      }),
    );
  });

  it("smooth over their window and no further", () => {
    const steps = ticks(31).map((tick) => [tick * 100, tick < 20 ? 0 : tick - 20] as const);
    const rates = read(steps, 1000);
    assert.ok(Math.abs(rates[25]! - 5) < 1e-9, "half of the window has the new slope");
    assert.ok(Math.abs(rates[30]! - 10) < 1e-9);
  });

  it("are not made over a gap of more than two seconds", () => {
    assert.deepEqual(
      read([
        [0, 0],
        [2000, 10],
        [4001, 20],
        [4101, 21],
      ]),
      [Number.NaN, 5, Number.NaN, 10],
    );
  });
});

describe("links", () => {
  it("know the last round trip and the loss among the last probes", () => {
    let history: readonly (number | undefined)[] = [];
    for (let probe = 0; probe < 3 * LOSS_OVER; probe += 1)
      history = addProbe(history, probe % 4 === 3 ? undefined : probe);
    assert.equal(history.length, LOSS_OVER);
    assert.deepEqual(linkReading("host-b", history), { toHost: "host-b", roundTripMs: 58, loss: 0.25 });
    assert.deepEqual(linkReading("host-b", []), {
      toHost: "host-b",
      roundTripMs: Number.NaN,
      loss: Number.NaN,
    });
    assert.deepEqual(linkReading("host-b", [undefined]), {
      toHost: "host-b",
      roundTripMs: Number.NaN,
      loss: 1,
    });
  });
});
