import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { WHOLE } from "@understudy/model/shard";
import fc from "fast-check";
import { decide, INITIAL, type State } from "./decide.ts";
import { exampleConfiguration, exampleSpec, metricBatch, START_MS, servingInstance } from "./fixtures.ts";
import { learntFromText, learntToText } from "./learnt.ts";
import { openLearntFiles } from "./learnt-files.ts";

const SPEC = exampleSpec();
const CONFIGURED = new Set([SPEC.name]);
const TICK_MS = 100;
const silent = { warn: () => undefined };

/** A predictor after two minutes of demand that rises and falls, with one instance whose workers follow it. */
function experienced(): State {
  const roles = {
    resource: "catalog",
    epoch: 1,
    primary: "c-1",
    instances: [servingInstance("c-1", START_MS - 10_000)],
  };
  const heard = decide(
    decide(INITIAL, { kind: "configured", configuration: exampleConfiguration() }, START_MS).next,
    { kind: "roles", roles },
    START_MS,
  ).next;
  return ticks(heard, { fromMs: START_MS, count: 1_200 }).state;
}

const wave = (atMs: number) => 100 + 60 * Math.sin((2 * Math.PI * atMs) / 20_000);

type Ticks = { fromMs: number; count: number; load?: (atMs: number) => number };

function ticks(before: State, { fromMs, count, load = wave }: Ticks) {
  let state = before;
  let last: ReturnType<typeof decide> | undefined;
  for (let index = 1; index <= count; index += 1) {
    const atMs = fromMs + index * TICK_MS;
    const rps = load(atMs);
    const rows = [
      {
        readsPerSecond: 0.9 * rps,
        writesPerSecond: 0.1 * rps,
        requestBytesPerSecond: 900 * rps,
        responseBytesPerSecond: 100 * rps,
      },
      {
        instance: "c-1",
        servedPerSecond: rps,
        busyWorkers: rps * 0.04,
        workers: 8,
        queuedRequests: 0,
        cpuCores: Number.NaN,
      },
    ];
    last = decide(state, { kind: "metrics", message: metricBatch(rows, { atMs }) }, atMs);
    state = last.next;
  }
  const effect = last!.effects.find(({ kind }) => kind === "predict");
  assert.ok(effect?.kind === "predict");
  return { state, prediction: effect.prediction };
}

function keptText(state: State): string {
  const { demand, capacity, spec } = state.watched!.get("catalog")!;
  return learntToText({ demand: demand.learnt(), capacity: capacity.learnt() }, spec);
}

function restarted(state: State): State {
  const recalled = new Map([["catalog", learntFromText(keptText(state), SPEC)]]);
  const configured = { kind: "configured", configuration: exampleConfiguration(), recalled } as const;
  return decide(INITIAL, configured, START_MS).next;
}

test("a predictor that is started again goes on: ready at once, with the season and the capacity it had learnt", () => {
  const before = experienced();
  const fromMs = START_MS + 1_200 * TICK_MS;
  const went = ticks(before, { fromMs, count: 30 }).prediction;
  const goes = ticks(restarted(before), { fromMs, count: 30 }).prediction;
  assert.equal(goes.demand.ready, true);
  assert.equal(goes.demand.scorecard.periodSteps, went.demand.scorecard.periodSteps);
  for (const [h, { meanRps, aheadMs }] of goes.demand.horizons.entries()) {
    const away = Math.abs(meanRps - went.demand.horizons[h]!.meanRps);
    assert.ok(away < 10, `${aheadMs} ms ahead: ${away} from what it would be without the restart`);
  }
  assert.ok(goes.demand.scorecard.scored > 80);
  assert.equal(goes.capacity.learned, true);
  assert.ok(Math.abs(goes.capacity.instanceRps - 160) < 5, `${goes.capacity.instanceRps}`);
  assert.ok(Math.abs(goes.demand.now.transactionBytes - 1_000) < 1);
});

test("what an earlier process foresaw is not said as of now: after the gap comes a whole step first", () => {
  for (const gapMs of [3_000, 3_600_000]) {
    const fromMs = START_MS + 1_200 * TICK_MS + gapMs;
    const first = ticks(restarted(experienced()), { fromMs, count: 1 }).prediction;
    assert.deepEqual([first.demand.ready, first.demand.alarm.raised], [false, false]);
  }
});

test("capacity that was learnt under changing load outlives a quiet hour and the restart after it", () => {
  const fromMs = START_MS + 1_200 * TICK_MS;
  const quiet = ticks(experienced(), { fromMs, count: 6_000, load: () => 50 }).state;
  const { capacity } = ticks(restarted(quiet), {
    fromMs: fromMs + 600_000,
    count: 100,
    load: () => 50,
  }).prediction;
  assert.equal(capacity.learned, true);
  assert.ok(Math.abs(capacity.instanceRps - 160) < 5, `${capacity.instanceRps}`);
});

test("each part holds only under the policy it was learnt under", () => {
  const text = keptText(experienced());
  const finer = learntFromText(text, { ...SPEC, forecast: { ...SPEC.forecast, stepMs: 500 } });
  assert.deepEqual(Object.keys(finer), ["capacity"]);
  const lower = learntFromText(text, { ...SPEC, capacity: { ...SPEC.capacity, target: 0.5 } });
  assert.deepEqual(Object.keys(lower), ["demand"]);
});

test("what an older version learnt of a capacity is left out, and its demand is kept", () => {
  const record = JSON.parse(keptText(experienced()));
  const view = { instanceRps: 160, bindingSignal: "busyWorkers", curves: [], learned: true };
  const capacity = { under: JSON.stringify(SPEC.capacity), samples: [], view };
  assert.deepEqual(Object.keys(learntFromText(JSON.stringify({ ...record, capacity }), SPEC)), ["demand"]);
});

test("what is damaged is refused with the reason", () => {
  const record = JSON.parse(keptText(experienced()));
  const { demand, capacity } = record;
  const curve = { ...capacity.curves[0], coefficients: [1] };
  for (const [broken, why] of [
    [{ ...record, demand: { ...demand, forecaster: demand.forecaster.slice(0, 400) } }, /snapshot/],
    [{ ...record, demand: { ...demand, forecaster: "" } }, /snapshot/],
    [{ ...record, demand: { ...demand, parts: { ...demand.parts, reads: -1 } } }, /parts\.reads/],
    [{ ...record, capacity: { ...capacity, curves: [curve] } }, /curves\.0/],
    [{ ...record, capacity: { ...capacity, samples: [{}] } }, /samples\.0/],
    [{ ...record, format: 2 }, /format/],
  ] as const)
    assert.throws(() => learntFromText(JSON.stringify(broken), SPEC), why);
});

test("any damage to the text is either refused with a RangeError or harmless", () => {
  const text = keptText(experienced());
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ minLength: 0, maxLength: 3 }), (at, noise) => {
      try {
        learntFromText(text.slice(0, at) + noise + text.slice(at + 1), SPEC);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test("files bring back what was kept; one that cannot be used is said and left out", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "learnt-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const said: string[] = [];
  const files = openLearntFiles(dir, { shard: WHOLE, log: { warn: (text) => said.push(text) } });
  assert.equal(files.recall([SPEC]).size, 0);
  const watched = [...experienced().watched!.values()];
  await files.keep(watched, CONFIGURED);
  assert.equal(openLearntFiles(dir, { shard: WHOLE, log: silent }).recall([SPEC]).size, 1);
  assert.deepEqual(said, []);
  writeFileSync(join(dir, "learnt", "catalog.json"), "{}");
  assert.equal(files.recall([SPEC]).size, 0);
  assert.equal(said.length, 1);
  await files.keep(watched, CONFIGURED);
  assert.equal(files.recall([SPEC]).size, 1);
  await files.keep([], CONFIGURED);
  assert.equal(files.recall([SPEC]).size, 1, "another predictor of the same folder looks after it");
  await files.keep([], new Set());
  assert.equal(files.recall([SPEC]).size, 0, "a resource that is gone leaves nothing behind");
});

test("a disk that takes nothing is said once, and stops nothing", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "learnt-"));
  const said: string[] = [];
  t.after(() => rmSync(dir, { recursive: true }));
  // A file where the folder should be: also root cannot write there.
  writeFileSync(join(dir, "learnt"), "");
  const files = openLearntFiles(dir, { shard: WHOLE, log: { warn: (text) => said.push(text) } });
  const watched = [...experienced().watched!.values()];
  await files.keep(watched, CONFIGURED);
  await files.keep(watched, CONFIGURED);
  assert.equal(said.length, 1);
  assert.match(said[0]!, /^what was learnt cannot be kept: make the folder writable/);
});
