/** What comes over the bus may be anything: the balancer's decisions stay sane, and go on when the words make sense again. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { ResourceSpec } from "@understudy/model/policy";
import { PPM } from "@understudy/model/share";
import type { LinkForecastSchema } from "@understudy/wire/gen/link";
import { type MetricBatch, MetricBatchSchema } from "@understudy/wire/gen/metrics";
import { PredictionSchema, type Prediction as WirePrediction } from "@understudy/wire/gen/prediction";
import { WeightDecisionSchema } from "@understudy/wire/gen/weight";
import fc from "fast-check";
import { decide, NO_STATE } from "./decide.ts";
import type { Event, State } from "./events.ts";
import { configurationOf, freshnessOf, instanceOf, POOL, RESOURCE, rolesOf, SPEC } from "./fixtures.ts";
import { loadsFromWire, predictionFromWire, weightsToWire } from "./wire.ts";

const START_MS = 100_000;
const STEP_MS = 400;
const INSTANCES = [instanceOf("c-1", { role: "primary" }), instanceOf("c-2"), instanceOf("c-3")];
const COLUMNS = ["readsPerSecond", "writesPerSecond", "busyWorkers", "workers"];
const UINT64_MAX = 2n ** 64n - 1n;

const HOSTILE = [NaN, Infinity, -Infinity, -1, -0, 5e-324, 0.5, 1e9, 1e308, Number.MAX_VALUE];
/** Sane often enough that decisions go on between the hostile ones. */
const anyNumber = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 500 }) },
  { weight: 2, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 1, arbitrary: fc.double() },
);

/** Taken at any time: mostly now, for what is old is not looked at. */
const anyTime = (nowMs: number) =>
  fc.constantFrom(...Array.from({ length: 6 }, () => BigInt(nowMs)), 0n, UINT64_MAX);

function anyBatch(nowMs: number): fc.Arbitrary<MetricBatch> {
  const rows = ["", "c-1", "c-2", "c-3", "nobody"].map((instance) => ({ resource: RESOURCE, instance }));
  const column = (length: number) => fc.array(anyNumber, { minLength: length, maxLength: length });
  const values = fc.oneof({ weight: 9, arbitrary: column(rows.length) }, { weight: 1, arbitrary: column(2) });
  return fc.tuple(anyTime(nowMs), ...COLUMNS.map(() => values)).map(([wallMs, ...columns]) =>
    create(MetricBatchSchema, {
      header: { schema: 1, time: { wallMs } },
      rows,
      columns: columns.map((column, index) => ({ name: COLUMNS[index]!, values: column })),
    }),
  );
}

/** Mostly none: one that is refused is refused with its whole prediction. */
const anyLinks = fc.oneof(
  { weight: 3, arbitrary: fc.constant<MessageInitShape<typeof LinkForecastSchema>[]>([]) },
  {
    weight: 1,
    arbitrary: fc.tuple(anyNumber, anyNumber, anyNumber).map(([roundTripMs, loss, seedMs]) => [
      {
        fromHost: "host-a",
        toHost: "host-b",
        quantileLevels: [0.95],
        horizons: [{ aheadMs: 1_000, roundTripMs: [roundTripMs], loss: [loss] }],
        seedMs,
      },
    ]),
  },
);

function anyPrediction(nowMs: number): fc.Arbitrary<WirePrediction> {
  return fc
    .tuple(anyTime(nowMs), fc.array(anyNumber, { minLength: 4, maxLength: 4 }), fc.boolean(), anyLinks)
    .map(([wallMs, [movableRps, immovableRps, instanceRps, foreseen], ready, links]) =>
      create(PredictionSchema, {
        header: { schema: 1, resource: RESOURCE, time: { wallMs } },
        ready,
        stepMs: 1_000,
        quantileLevels: [0.95],
        horizons: [{ aheadMs: 1_000, totalRps: [foreseen!] }],
        current: { movableRps: movableRps!, immovableRps: immovableRps! },
        capacity: { instanceRps: instanceRps! },
        links,
      }),
    );
}

/** As follow.ts takes them: a prediction that is refused is none. */
function eventsOf(message: MetricBatch | WirePrediction): Event[] {
  if (message.$typeName === "understudy.v1.MetricBatch")
    return loadsFromWire(message).map((load) => ({ kind: "load", load }));
  try {
    return [{ kind: "prediction", prediction: predictionFromWire(message) }];
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return [];
  }
}

type Message = MetricBatch | WirePrediction;
const anyMessages: fc.Arbitrary<readonly Message[]> = fc
  .array(fc.boolean(), { minLength: 1, maxLength: 30 })
  .chain((kinds) =>
    fc.tuple(
      ...kinds.map((isBatch, index): fc.Arbitrary<Message> => {
        const nowMs = START_MS + index * STEP_MS;
        return isBatch ? anyBatch(nowMs) : anyPrediction(nowMs);
      }),
    ),
  );

function checked(state: State, event: Event, nowMs: number): State {
  const { next, effects } = decide(state, event, nowMs);
  const { min, max } = SPEC.shadows;
  for (const effect of effects) {
    if (effect.kind === "say-scale") {
      const { wantedShadows } = effect.decision;
      assert.ok(Number.isInteger(wantedShadows) && wantedShadows >= min && wantedShadows <= max);
    }
    if (effect.kind === "apply")
      assert.equal(
        effect.plan.targets.reduce((sum, target) => sum + target.readPpm, 0),
        PPM,
      );
    if (effect.kind === "say-weights") {
      const about = { time: { wallMs: nowMs, counter: 0 }, source: "test" };
      toBinary(WeightDecisionSchema, weightsToWire(effect.decision, "", about));
    }
  }
  return next;
}

function play(spec: ResourceSpec, messages: readonly Message[]): State {
  let state: State = NO_STATE;
  let nowMs = START_MS;
  const hear = (event: Event) => {
    state = checked(state, event, nowMs);
  };
  hear({ kind: "configured", configuration: configurationOf(spec) });
  hear({ kind: "recovered", pool: POOL.name, plan: undefined });
  hear({ kind: "roles", roles: rolesOf(INSTANCES, { primary: "c-1" }) });
  for (const message of messages) {
    for (const instance of INSTANCES) hear({ kind: "freshness", freshness: freshnessOf(instance, 5) });
    for (const event of eventsOf(message)) hear(event);
    hear({ kind: "tick" });
    nowMs += STEP_MS;
  }
  return state;
}

for (const policy of ["predictive", "reactive"] as const) {
  test(`policy ${policy}: whatever metrics and predictions say, shadows are a number and shares the whole`, () => {
    const spec = { ...SPEC, forecast: { ...SPEC.forecast, policy } };
    fc.assert(
      fc.property(anyMessages, (messages) => {
        const one = play(spec, messages).get(RESOURCE)!;
        assert.ok(Number.isFinite(one.shift.heldRps), "held demand would never be let go");
        assert.ok(Number.isSafeInteger(one.usedSampleMs), "no later sample would ever count as new");
      }),
      { numRuns: 300 },
    );
  });
}

test("workers that no instance has are unknown, and so is demand that nobody makes", () => {
  const batch = (busyWorkers: number, workers: number, readsPerSecond: number, cpuCores: number) =>
    create(MetricBatchSchema, {
      header: { time: { wallMs: 1n } },
      rows: [
        { resource: RESOURCE, instance: "c-1" },
        { resource: RESOURCE, instance: "" },
      ],
      columns: [
        { name: "busyWorkers", values: [busyWorkers, 0] },
        { name: "workers", values: [workers, 0] },
        { name: "readsPerSecond", values: [0, readsPerSecond] },
        { name: "writesPerSecond", values: [0, 1] },
        { name: "cpuCores", values: [cpuCores, 0] },
      ],
    });
  const unknown = {
    instance: "c-1",
    busyWorkers: Number.NaN,
    workers: Number.NaN,
    cpuCores: Number.NaN,
  };
  const [hostile] = loadsFromWire(batch(Number.POSITIVE_INFINITY, -8, Number.MAX_VALUE, -1));
  assert.deepEqual(hostile, { resource: RESOURCE, sampledAtMs: 1, demand: undefined, busy: [unknown] });
  const [good] = loadsFromWire(batch(3, 8, 120, 0.5));
  assert.deepEqual(good!.busy, [{ instance: "c-1", busyWorkers: 3, workers: 8, cpuCores: 0.5 }]);
  assert.deepEqual(good!.demand, { movableRps: 120, immovableRps: 1 });
});

test("a sample of a clock far ahead of ours is not believed, and does not make what follows look old", () => {
  const demand = { movableRps: 300, immovableRps: 20 };
  const load = (sampledAtMs: number): Event => ({
    kind: "load",
    load: { resource: RESOURCE, demand, busy: [], sampledAtMs },
  });
  const hear = (state: State, event: Event, nowMs: number) => decide(state, event, nowMs).next;
  let state = hear(NO_STATE, { kind: "configured", configuration: configurationOf(SPEC) }, START_MS);
  state = hear(state, load(START_MS + 3_600_000), START_MS);
  assert.equal(state.get(RESOURCE)?.observed, undefined);
  state = hear(state, load(START_MS), START_MS);
  assert.equal(state.get(RESOURCE)?.observed?.sampledAtMs, START_MS);
});
