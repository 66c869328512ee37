import assert from "node:assert/strict";
import { test } from "node:test";
import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { chart, niceTop } from "./chart.ts";
import { clip, coloured, plain, renderFrame, type Scene, stageProgress } from "./frame.ts";
import { nothingObserved, type Observed } from "./observe.ts";
import { lineOf } from "./view.ts";

const NOW = 1_700_000_000_000;
const PHASES = { learningMs: 60_000, scoredMs: 120_000, failoverMs: 20_000 };

function busyObserved(): Observed {
  const observed = nothingObserved();
  const instance = (name: string, role: "primary" | "shadow") => ({
    name,
    incarnation: "1",
    host: "h",
    role,
    phase: "serving" as const,
    address: "127.0.0.1:1",
    gateAddress: "",
    pid: 1,
    pidStartTicks: 1,
    requestedAtMs: NOW,
    readyAtMs: NOW,
  });
  const instances = [instance("catalog-1", "primary"), instance("catalog-2", "shadow")];
  observed.roles.push({
    atMs: NOW,
    roles: { resource: "catalog", epoch: 1, primary: "catalog-1", instances },
  });
  observed.shares.push({ atMs: NOW, readPpm: { "catalog-1": 420_000, "catalog-2": 580_000 } });
  for (let second = 0; second < 60; second += 0.25) {
    observed.demand.push({
      atMs: NOW - 60_000 + second * 1000,
      rps: second % 30 > 18 ? 610 : 320 + 20 * Math.sin(second * 3),
      capacityRps: second % 30 > 15 ? 680 : 340,
    });
  }
  observed.forecastReady = true;
  observed.instanceRps = 170;
  observed.bindingSignal = "busyWorkers";
  observed.forecasts = Array.from({ length: 12 }, (_, i) => ({
    aheadMs: (i + 1) * 1000,
    middleRps: i > 5 ? 600 : 330,
    highRps: i > 4 ? 660 : 390,
  }));
  observed.mirrored.set("catalog-2", { phase: 2, lagMs: 12, inSync: true, seedPart: 1 });
  const text =
    "the 0.95 quantile of demand in 4 s exceeds what two instances carry, so reads move and a shadow is made";
  observed.decisions.push({ atMs: NOW - 2_000, what: "scale predictive", text });
  observed.events.push({
    atMs: NOW - 1_000,
    what: "shadow.created",
    text: "catalog-3 is being seeded from catalog-1",
  });
  return observed;
}

function scene(more: Partial<Scene> = {}): Scene {
  return {
    nowMs: NOW,
    policy: "predictive",
    seed: 1,
    phases: PHASES,
    loadStartedAtMs: NOW - 94_000,
    stage: "scored",
    progress: {
      atMs: 94_000,
      sent: 30_000,
      failed: 0,
      inFlight: 14,
      ratePerSecond: 322,
      p50Ms: 43,
      p99Ms: 121,
    },
    observed: busyObserved(),
    ...more,
  };
}

test("a frame shows the stage, demand and forecast, each instance, the client and why it was decided", () => {
  const text = renderFrame(scene(), { columns: 110, rows: 40 }, plain).join("\n");
  assert.match(text, /predictive · seed 1 .* scored .* 34 of 120 s/);
  assert.match(text, /an instance carries 170, busyWorkers binds/);
  assert.match(text, /catalog-1 +primary +serving +█+·+ +42 %/);
  assert.match(text, /catalog-2 +shadow +serving .* 58 % +12 ms/);
  assert.match(text, /p99 121 ms/);
  assert.match(text, /scale predictive +the 0.95 quantile/);
  assert.match(text, /shadow.created +catalog-3/);
});

test("a frame fits any terminal", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 20, max: 250 }),
      fc.integer({ min: 10, max: 80 }),
      fc.boolean(),
      (columns, rows, empty) => {
        const shown = scene(
          empty
            ? {
                observed: nothingObserved(),
                progress: undefined,
                loadStartedAtMs: undefined,
                stage: "setting up",
              }
            : {},
        );
        const lines = renderFrame(shown, { columns, rows }, plain);
        assert.ok(lines.length < rows);
        for (const line of lines) assert.ok(line.length <= columns, `${line.length} > ${columns}: ${line}`);
      },
    ),
  );
});

test("the chart draws demand where it was, the forecast to its right, and nothing of nothing", () => {
  const rows = chart(busyObserved(), { nowMs: NOW, width: 100, height: 8, paint: plain });
  assert.equal(rows.length, 8);
  assert.ok(rows.every((row) => row.length === 100));
  assert.ok(rows.at(-1)!.includes("█"));
  assert.ok(rows.some((row) => row.includes("░")));
  const unknown = busyObserved();
  unknown.demand = unknown.demand.map((sample) => ({ ...sample, capacityRps: Number.NaN }));
  const bare = chart(unknown, { nowMs: NOW, width: 100, height: 8, paint: plain });
  assert.match(bare[0]!, /^ *800 ┤/);
  const empty = chart(nothingObserved(), { nowMs: NOW, width: 40, height: 4, paint: plain });
  assert.ok(empty.every((row) => /^ *\d* ┤ *$/.test(row)));
});

test("axes end on round figures", () => {
  assert.deepEqual([1, 9, 11, 340, 680, 999].map(niceTop), [1, 10, 15, 400, 800, 1000]);
});

test("each stage counts from its own start", () => {
  const at = (sinceMs: number, stage: Scene["stage"]) =>
    stageProgress(scene({ loadStartedAtMs: NOW - sinceMs, stage }));
  assert.deepEqual(at(5_000, "learning"), { inMs: 5_000, ofMs: 60_000 });
  assert.deepEqual(at(70_000, "scored"), { inMs: 10_000, ofMs: 120_000 });
  assert.deepEqual(at(181_000, "failover"), { inMs: 1_000, ofMs: 20_000 });
});

test("without a terminal the same is said in one line", () => {
  assert.match(
    lineOf(scene()),
    /predictive scored 34\/120 s \| demand \d+\/s, soon <= 660 \| catalog-1\* 42% catalog-2 58% \| p50 43/,
  );
});

test("colours take no room", () => {
  const size = { columns: 80, rows: 40 };
  const bare = renderFrame(scene(), size, coloured).map((line) => stripVTControlCharacters(line));
  assert.deepEqual(bare, renderFrame(scene(), size, plain));
  assert.equal(clip(coloured("red", "abcdef"), 3), coloured("red", "abc"));
});
