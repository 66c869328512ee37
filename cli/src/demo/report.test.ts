import assert from "node:assert/strict";
import { test } from "node:test";
import type { Instance, Role } from "@understudy/model/instance";
import fc from "fast-check";
import type { RequestRecord } from "./records.ts";
import {
  episodes,
  flaps,
  isValid,
  overloadSeconds,
  type RunFacts,
  reportOf,
  shadowSeconds,
} from "./report.ts";

const START = 1_000_000;

function record(atMs: number, more: Partial<RequestRecord> = {}): RequestRecord {
  return { atMs, kind: "product", key: "", status: 200, latencyMs: 50, instance: "a", stale: false, ...more };
}

function instance(name: string, role: Role, more: Partial<Instance> = {}): Instance {
  return {
    name,
    incarnation: "1",
    host: "h",
    role,
    phase: "serving",
    address: "",
    gateAddress: "",
    pid: 1,
    pidStartTicks: 1,
    requestedAtMs: START,
    readyAtMs: START,
    ...more,
  };
}

function rolesAt(atMs: number, ...instances: Instance[]) {
  return { atMs, roles: { resource: "catalog", epoch: 1, primary: "a", instances } };
}

function facts(more: Partial<RunFacts> = {}, records: RequestRecord[] = []): RunFacts {
  return {
    load: { startedAtMs: START, records, lateP99Ms: 1, cpuCores: 0.1 },
    phases: { learningMs: 10_000, scoredMs: 20_000, failoverMs: 10_000 },
    curve: () => 1,
    standing: 2,
    roles: [],
    shares: [],
    killed: undefined,
    committed: new Set(),
    deltaBytes: 0,
    stateBytes: 0,
    traceSpans: 0,
    noise: { stealShare: 0, otherShare: 0 },
    ...more,
  };
}

test("a second is overloaded when more than 1 % of it failed or was late, and at exactly 1 % it is not", () => {
  const second = (over: number) =>
    Array.from({ length: 200 }, (_, i) => record(i, i < over ? { latencyMs: 201 } : {}));
  assert.deepEqual(overloadSeconds(second(2)), []);
  assert.deepEqual(overloadSeconds(second(3)), [0]);
  const failing = second(0).map((r, i) => (i < 3 ? { ...r, status: 503 } : r));
  assert.deepEqual(overloadSeconds(failing), [0]);
});

test("a second belongs to when its requests were meant to be sent", () => {
  assert.deepEqual(overloadSeconds([record(2_999, { latencyMs: 5_000 })]), [2]);
});

test("percentiles and overload count the scored part alone, failures the whole run", () => {
  const learning = record(500, { latencyMs: 9_000, status: 0 });
  const scored = Array.from({ length: 100 }, (_, index) => record(10_000 + index, { latencyMs: index + 1 }));
  const report = reportOf(facts({}, [learning, ...scored]));
  assert.equal(report.failed, 1);
  assert.equal(report.failedIdempotent, 1);
  assert.equal(report.p50Ms, 50);
  assert.equal(report.p99Ms, 99);
  assert.equal(report.overloadSeconds, 0);
});

test("a shadow costs from its request to its end, within the window, and a primary costs nothing", () => {
  const late = instance("c", "shadow", { requestedAtMs: START + 12_000, phase: "seeding" });
  const history = [
    rolesAt(START, instance("a", "primary"), instance("b", "shadow")),
    rolesAt(START + 13_000, instance("a", "primary"), instance("b", "shadow"), late),
    rolesAt(START + 18_000, instance("a", "primary"), instance("b", "shadow")),
  ];
  const window = { fromMs: START + 10_000, toMs: START + 30_000 };
  assert.equal(shadowSeconds(history, window), 20 + 6);
});

test("a shadow that becomes the primary stops costing, and a new incarnation starts anew", () => {
  const history = [
    rolesAt(START, instance("a", "primary"), instance("b", "shadow")),
    rolesAt(START + 5_000, instance("b", "primary")),
    rolesAt(
      START + 6_000,
      instance("b", "primary"),
      instance("a", "shadow", { incarnation: "2", requestedAtMs: START + 5_500 }),
    ),
  ];
  assert.equal(shadowSeconds(history, { fromMs: START, toMs: START + 10_000 }), 5 + 4.5);
});

test("demand above the standing instances makes episodes, and close ones are one", () => {
  const curve = (atMs: number) =>
    (atMs >= 12_000 && atMs < 14_000) || (atMs >= 15_000 && atMs < 16_000) ? 3 : 1.6;
  const found = episodes(curve, { standing: 2, window: { fromMs: 10_000, toMs: 30_000 } });
  assert.deepEqual(found, [{ fromMs: 12_000, toMs: 15_900 }]);
});

test("lead is positive when help came before saturation, negative after, null when it never left", () => {
  const curve = (atMs: number) => (atMs >= 20_000 && atMs < 25_000 ? 3 : 1.6);
  const helpAt = (atMs: number) => [
    { atMs: START, readPpm: { a: 500_000, b: 500_000 } },
    { atMs: START + atMs, readPpm: { a: 300_000, b: 300_000, c: 400_000 } },
    { atMs: START + 28_000, readPpm: { a: 500_000, b: 500_000 } },
  ];
  assert.equal(reportOf(facts({ curve, shares: helpAt(16_000) })).leadSeconds, 4);
  assert.equal(reportOf(facts({ curve, shares: helpAt(22_000) })).leadSeconds, -2);
  const always = [{ atMs: START, readPpm: { a: 1, b: 1, c: 1 } }];
  assert.equal(reportOf(facts({ curve, shares: always })).leadSeconds, null);
  assert.equal(reportOf(facts({ curve, shares: [] })).leadSeconds, null);
});

test("failover lasts from the kill to the first success of a write sent after it", () => {
  const records = [
    record(29_990, { kind: "view", key: "0", status: 201, latencyMs: 30 }),
    record(30_050, { kind: "order", key: "1", status: 201, latencyMs: 300 }),
    record(30_100, { kind: "view", key: "2", status: 201, latencyMs: 200 }),
    record(30_060, { kind: "view", key: "3", status: 503, latencyMs: 10 }),
    record(30_005, { kind: "view", key: "4", status: 201, latencyMs: 20, instance: "catalog-1" }),
  ];
  const report = reportOf(facts({ killed: { name: "catalog-1", atMs: START + 30_000 } }, records));
  assert.equal(report.failoverMs, 300);
  assert.equal(report.failedIdempotentInFailover, 1);
  assert.equal(reportOf(facts({}, records)).failoverMs, null);
});

test("a request in flight at the kill belongs to the failover, one answered before does not", () => {
  const records = [
    record(29_000, { status: 0, latencyMs: 2_000 }),
    record(29_000, { status: 0, latencyMs: 10 }),
  ];
  const report = reportOf(facts({ killed: { name: "catalog-1", atMs: START + 30_000 } }, records));
  assert.equal(report.failedIdempotent, 2);
  assert.equal(report.failedIdempotentInFailover, 1);
});

test("a write is lost when it was answered with success and is not there in the end", () => {
  const records = [
    record(1, { kind: "order", key: "kept", status: 201 }),
    record(2, { kind: "order", key: "lost", status: 201 }),
    record(3, { kind: "view", key: "gone", status: 201 }),
    record(4, { kind: "order", key: "refused", status: 503 }),
  ];
  const report = reportOf(facts({ committed: new Set(["kept"]) }, records));
  assert.equal(report.criticalWritesLost, 1);
  assert.equal(report.asyncWritesLost, 1);
});

test("a stale read is no failure, but is counted", () => {
  const report = reportOf(
    facts({}, [record(1, { stale: true, status: 404 }), record(2), record(3), record(4)]),
  );
  assert.equal(report.failed, 0);
  assert.equal(report.staleReadPct, 25);
});

test("a flap is a reversal of 5 points within a minute, smaller and slower ones are none", () => {
  const series = (...points: [number, number][]) =>
    points.map(([second, percent]) => ({ atMs: second * 1000, readPpm: { b: percent * 10_000 } }));
  assert.equal(flaps(series([0, 10], [10, 16], [20, 10])), 1);
  assert.equal(flaps(series([0, 10], [10, 14], [20, 10])), 0);
  assert.equal(flaps(series([0, 10], [10, 16], [90, 10])), 0);
  assert.equal(flaps(series([0, 10], [5, 16], [10, 10], [15, 16], [20, 10])), 3);
  assert.equal(flaps(series([0, 10], [5, 13], [6, 16], [7, 19], [8, 17])), 0);
  assert.equal(flaps([]), 0);
});

test("steady or one-way shares never flap", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000_000)), (values) => {
      const rising = values
        .sort((a, b) => a - b)
        .map((ppm, index) => ({ atMs: index * 1000, readPpm: { b: ppm } }));
      assert.equal(flaps(rising), 0);
    }),
  );
});

test("a late generator, a stolen or a busy machine makes a run invalid", () => {
  assert.equal(isValid(facts()), true);
  assert.equal(isValid(facts({ noise: { stealShare: 0.21, otherShare: 0 } })), false);
  assert.equal(isValid(facts({ noise: { stealShare: 0, otherShare: 0.21 } })), false);
  assert.equal(isValid(facts({ load: { startedAtMs: 0, records: [], lateP99Ms: 5.1, cpuCores: 0 } })), false);
});
