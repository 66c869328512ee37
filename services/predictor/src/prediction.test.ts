import assert from "node:assert/strict";
import { test } from "node:test";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { PredictionSchema } from "@understudy/wire/gen/prediction";
import { fitCapacity } from "./capacity.ts";
import { decide, type Event, INITIAL, type PredictionView } from "./decide.ts";
import { exampleConfiguration, exampleSpec, metricBatch, START_MS } from "./fixtures.ts";
import { predictionToWire } from "./prediction.ts";

/** A first prediction, with a capacity that was learnt. */
function predicted(): PredictionView {
  const events: Event[] = [
    { kind: "configured", configuration: exampleConfiguration() },
    {
      kind: "metrics",
      message: metricBatch([{ readsPerSecond: 90, writesPerSecond: 10 }], { atMs: START_MS }),
    },
  ];
  let state = INITIAL;
  let found: PredictionView | undefined;
  for (const event of events) {
    const { next, effects } = decide(state, event, START_MS);
    state = next;
    for (const effect of effects) if (effect.kind === "predict") found = effect.prediction;
  }
  const samples = Array.from({ length: 40 }, (_, i) => {
    const rps = 20 + 4 * i;
    const signals = { busyWorkers: 0.04 * rps, cpuCores: 0.05 + 0.001 * rps };
    return { rps, bytesPerSecond: Number.NaN, signals, workers: 8 };
  });
  return { ...found!, capacity: fitCapacity(samples, exampleSpec().capacity) };
}

const onTheWire = (prediction: PredictionView) =>
  fromBinary(
    PredictionSchema,
    toBinary(
      PredictionSchema,
      predictionToWire(prediction, { time: { wallMs: START_MS, counter: 0 }, source: "test" }),
    ),
  );

test("a curve says of what family it is, with its coefficients, its range and the line for those who want one", () => {
  const { capacity } = onTheWire(predicted());
  const busy = capacity?.curves.find(({ signal }) => signal === "busyWorkers");
  assert.deepEqual(
    [busy?.family, busy?.regressor, busy?.perRequest, busy?.seenFrom, busy?.seenTo],
    ["little", "requests", 1, 20, 176],
  );
  assert.ok(Math.abs(busy!.carriesRps - 160) < 1e-6);
  assert.ok(Math.abs(busy!.slope - 0.04) < 1e-9 && Math.abs(busy!.intercept) < 1e-9);
  assert.ok(Math.abs(busy!.coefficients[1]! - 0.04) < 1e-9);
  assert.ok(busy!.validationError < 1e-9);
});

test("each horizon has the utilisation that its demand makes", () => {
  const prediction = predicted();
  const utilisation = prediction.demand.horizons.map((_, index) => [0.1 * index, 0.2 * index]);
  const { horizons } = onTheWire({ ...prediction, utilisation });
  assert.deepEqual(
    horizons.map((horizon) => horizon.utilisation),
    utilisation,
  );
  assert.deepEqual(onTheWire(prediction).horizons[0]?.utilisation, [], "none while nobody is known to serve");
});
