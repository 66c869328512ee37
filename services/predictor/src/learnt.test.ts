import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { decide, INITIAL, type State } from "./decide.ts";
import { exampleConfiguration, exampleSpec, metricBatch, START_MS, servingInstance } from "./fixtures.ts";
import { learntFromText, learntToText } from "./learnt.ts";
import { openLearntFiles } from "./learnt-files.ts";

const SPEC = exampleSpec();
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

function ticks(before: State, { fromMs, count }: { fromMs: number; count: number }) {
  let state = before;
  let last: ReturnType<typeof decide> | undefined;
  for (let index = 1; index <= count; index += 1) {
    const atMs = fromMs + index * TICK_MS;
    const rps = 100 + 60 * Math.sin((2 * Math.PI * atMs) / 20_000);
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
  return learntToText({ demand: demand.learnt(), samples: capacity.samples() }, spec);
}

test("a predictor that is started again goes on: ready at once, with the season and the capacity it had learnt", () => {
  const before = experienced();
  const text = keptText(before);
  const recalled = new Map([["catalog", learntFromText(text, SPEC)]]);
  const begun = decide(
    INITIAL,
    { kind: "configured", configuration: exampleConfiguration(), recalled },
    START_MS,
  );
  const fromMs = START_MS + 1_200 * TICK_MS;
  const went = ticks(before, { fromMs, count: 30 }).prediction;
  const goes = ticks(begun.next, { fromMs, count: 30 }).prediction;
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

test("what was learnt under another policy, or is damaged, is refused with the reason", () => {
  const text = keptText(experienced());
  const other = { ...SPEC, forecast: { ...SPEC.forecast, stepMs: 500 } };
  assert.throws(() => learntFromText(text, other), /another policy/);
  const record = JSON.parse(text);
  for (const [broken, why] of [
    [{ ...record, forecaster: record.forecaster.slice(0, 400) }, /snapshot/],
    [{ ...record, forecaster: "" }, /snapshot/],
    [{ ...record, parts: { ...record.parts, reads: -1 } }, /parts\.reads/],
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

test("files bring back what was kept; one that cannot be used is said and left out, and so is none", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "learnt-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const said: string[] = [];
  const files = openLearntFiles(dir, { warn: (text) => said.push(text) });
  assert.equal(files.recall([SPEC]).size, 0);
  files.keep(experienced().watched!.values());
  assert.equal(openLearntFiles(dir, silent).recall([SPEC]).size, 1);
  assert.deepEqual(said, []);
  writeFileSync(join(dir, "learnt", "catalog.json"), "{}");
  assert.equal(files.recall([SPEC]).size, 0);
  assert.equal(said.length, 1);
});

test("a disk that takes nothing is said once, and stops nothing", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "learnt-"));
  const said: string[] = [];
  const files = openLearntFiles(dir, { warn: (text) => said.push(text) });
  rmSync(dir, { recursive: true });
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const watched = [...experienced().watched!.values()];
  files.keep(watched);
  files.keep(watched);
  assert.deepEqual(said, ["what was learnt cannot be kept"]);
});
