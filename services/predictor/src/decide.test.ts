import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { type Step, scenarioTests } from "@understudy/testkit/scenario";
import fc from "fast-check";
import { decide, type Effect, type Event, INITIAL, type PredictionView, type State } from "./decide.ts";
import { exampleConfiguration, type Measured, metricBatch, START_MS, servingInstance } from "./fixtures.ts";

scenarioTests(join(import.meta.dirname, "testdata"), () => {
  let state = INITIAL;
  return (step) => {
    const lines: string[] = [];
    for (const { event, nowMs } of eventsOf(step)) {
      const { next, effects } = decide(state, event, nowMs);
      state = next;
      lines.splice(0, step.args.all ? 0 : lines.length, ...effects.map(describe));
    }
    return lines.join("\n");
  };
});

/** `metrics` repeats its rows every 100 ms `for` so long, `at` ms after the start; `sampled` shifts the host's clock. */
function eventsOf({ command, args, input }: Step): { event: Event; nowMs: number }[] {
  const at = START_MS + Number(args.at ?? 0);
  switch (command) {
    case "configure":
      return [{ event: { kind: "configured", configuration: exampleConfiguration() }, nowMs: at }];
    case "roles": {
      const instances = input.split("\n").map((line) => {
        const { instance, ready, phase } = fieldsOf(line);
        return servingInstance(instance!, START_MS + Number(ready), phase as "serving" | undefined);
      });
      const roles = { resource: "catalog", epoch: 1, primary: instances[0]!.name, instances };
      return [{ event: { kind: "roles", roles }, nowMs: at }];
    }
    case "metrics": {
      const rows = input.split("\n").map((line): Measured => fieldsOf(line));
      const ticks = Math.max(1, Number(args.for ?? 0) / 100);
      return Array.from({ length: ticks }, (_, tick) => {
        const nowMs = at + tick * 100;
        const atMs = nowMs + Number(args.sampled ?? 0);
        const message = metricBatch(rows, { atMs, ...(args.host && { host: args.host }) });
        return { event: { kind: "metrics", message }, nowMs };
      });
    }
    default:
      throw new Error(`unknown command ${command}`);
  }
}

function fieldsOf(line: string): Record<string, string> {
  return Object.fromEntries(line.split(" ").map((word) => word.split("=") as [string, string]));
}

function describe(effect: Effect): string {
  switch (effect.kind) {
    case "reject":
      return `reject ${effect.reason.replace(/\b179\d{10}\b/, "T")}`;
    case "predict":
      return describePrediction(effect.prediction);
  }
}

function describePrediction({ resource, sampledMs, demand, capacity }: PredictionView): string {
  const { movableRps, immovableRps, transactionBytes } = demand.now;
  return [
    `predict ${resource} sampled=${sampledMs - START_MS} ready=${demand.ready}`,
    `now=${movableRps.toFixed(0)}+${immovableRps.toFixed(0)} bytes=${transactionBytes.toFixed(0)}`,
    `instance=${capacity.instanceRps.toFixed(0)} by ${capacity.bindingSignal}${capacity.learned ? "" : " (first guess)"}`,
  ].join(" ");
}

function run(events: readonly Event[], stepMs = 100): { state: State; effects: Effect[] } {
  let state = INITIAL;
  const effects: Effect[] = [];
  for (const [index, event] of events.entries()) {
    const decision = decide(state, event, START_MS + index * stepMs);
    state = decision.next;
    effects.push(...decision.effects);
  }
  return { state, effects };
}

const CONFIGURED: Event = { kind: "configured", configuration: exampleConfiguration() };

test("a new configuration keeps what was learnt unless it was learnt under another policy", () => {
  const ticks = Array.from({ length: 400 }, (_, tick): Event => {
    const message = metricBatch([{ readsPerSecond: 90, writesPerSecond: 10 }], {
      atMs: START_MS + tick * 100,
    });
    return { kind: "metrics", message };
  });
  const { state } = run([CONFIGURED, ...ticks]);
  const isReady = (from: State) => from.watched!.get("catalog")!.demand.view()?.ready ?? false;
  assert.equal(isReady(state), true);
  assert.equal(isReady(decide(state, CONFIGURED, START_MS).next), true);
  const [resource] = exampleConfiguration().resources;
  const other = { ...resource!, forecast: { ...resource!.forecast, stepMs: 500 } };
  const changed = { ...exampleConfiguration(), resources: [other] };
  assert.equal(isReady(decide(state, { kind: "configured", configuration: changed }, START_MS).next), false);
});

test("of several shards each resource is predicted by one, and what is wrong is said by one", () => {
  const [spec] = exampleConfiguration().resources;
  const names = Array.from({ length: 40 }, (_, index) => `web-${index}`);
  const resources = names.map((name) => ({ ...spec!, name }));
  const configured: Event = { kind: "configured", configuration: { ...exampleConfiguration(), resources } };
  const batch = metricBatch(
    [...names, "stranger"].map((resource) => ({ resource, readsPerSecond: 90, writesPerSecond: 10 })),
    { atMs: START_MS },
  );
  const late = metricBatch([{ readsPerSecond: 1 }], { atMs: START_MS - 100_000 });
  const effects = [0, 1, 2].flatMap((index) => {
    const before = decide({ ...INITIAL, shard: { index, of: 3 } }, configured, START_MS).next;
    return [batch, late].flatMap((message) => decide(before, { kind: "metrics", message }, START_MS).effects);
  });
  const predicted = effects.flatMap((effect) =>
    effect.kind === "predict" ? effect.prediction.resource : [],
  );
  assert.deepEqual(predicted.toSorted(), names.toSorted());
  const reasons = effects.flatMap((effect) => (effect.kind === "reject" ? effect.reason : []));
  assert.equal(reasons.length, 2, reasons.join("\n"));
  assert.ok(reasons.some((reason) => /stranger is not in the configuration/.test(reason)));
});

const anyNumber = fc.oneof(fc.double(), fc.integer({ min: 0, max: 1000 }), fc.constant(Number.NaN));
const anyRow = fc.record(
  {
    resource: fc.constantFrom("catalog", "other", "Bad Name", ""),
    instance: fc.constantFrom("", "catalog-1", "catalog-2", "x.y"),
    readsPerSecond: anyNumber,
    writesPerSecond: anyNumber,
    servedPerSecond: anyNumber,
    busyWorkers: anyNumber,
    workers: anyNumber,
  },
  { requiredKeys: [] },
);
const anyBatch = fc
  .record({
    rows: fc.array(anyRow, { maxLength: 4 }),
    atMs: fc.oneof(
      fc.integer({ min: START_MS - 100_000, max: START_MS + 100_000 }),
      fc.constantFrom(0, Number.MAX_SAFE_INTEGER),
    ),
    host: fc.constantFrom("host-a", "host-b", "no host"),
    intervalMs: fc.integer({ min: 0, max: 2000 }),
    links: fc.array(
      fc.record({ toHost: fc.constantFrom("host-a", "host-b"), roundTripMs: anyNumber, loss: anyNumber }),
      { maxLength: 2 },
    ),
  })
  .map(({ rows, ...about }): Event => ({ kind: "metrics", message: metricBatch(rows, about) }));

test("whatever collectors send, predictions are finite and not negative, and every refusal has its reason", () => {
  fc.assert(
    fc.property(fc.array(anyBatch, { maxLength: 40 }), (batches) => {
      for (const effect of run([CONFIGURED, ...batches]).effects) {
        if (effect.kind === "reject") assert.ok(effect.reason.length > 10);
        else
          for (const number of numbersOf(effect.prediction))
            assert.ok(Number.isFinite(number) && number >= 0);
      }
    }),
  );
});

function numbersOf({ demand, capacity, utilisation }: PredictionView): number[] {
  const ahead = demand.horizons.flatMap((horizon) => [
    horizon.aheadMs,
    horizon.meanRps,
    ...horizon.totalRps,
    ...horizon.movableRps,
  ]);
  return [...Object.values(demand.now), ...ahead, capacity.instanceRps, ...utilisation.flat()];
}
