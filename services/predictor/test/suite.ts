/** The whole predictor over a bus: run over memory and over a real NATS. */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import type { Bus } from "@understudy/bus/bus";
import { followMessages, publishMessage, type Received } from "@understudy/bus/messages";
import { subjectOf, TOPICS } from "@understudy/bus/topics";
import { WHOLE } from "@understudy/model/shard";
import { systemClock } from "@understudy/service/clock";
import { openLog } from "@understudy/service/log";
import { runActors } from "@understudy/service/run";
import { type SpanRecord, startTelemetry, type Telemetry } from "@understudy/service/telemetry";
import { waitFor } from "@understudy/testkit/wait";
import { ConfigSchema, type Reject } from "@understudy/wire/gen/event";
import type { Prediction, PredictionSchema } from "@understudy/wire/gen/prediction";
import { headerToWire, hlcFromWire } from "@understudy/wire/header";
import { type Measured, metricBatch, YAML } from "../src/fixtures.ts";
import { heldSince } from "../src/in-use.ts";
import { createPredictor } from "../src/predictor.ts";

const WITHIN_MS = 10_000;
const TICK_MS = 100;

/** One bus may stand for all; on a server each has the rights of its own user. */
export type Buses = {
  readonly predictor: Bus;
  readonly collector: Bus;
  readonly cli: Bus;
  readonly observer: Bus;
  /** The server goes away and comes back with its data. */
  interrupt(): Promise<void>;
  close(): Promise<void>;
};

export function predictorSuite(open: () => Promise<Buses>): void {
  const dir = mkdtempSync(join(tmpdir(), "understudy-predictor-"));
  const traceFile = join(dir, "spans.jsonl");
  const stop = new AbortController();
  const predictions: Received<typeof PredictionSchema>[] = [];
  const rejects: Reject[] = [];
  let buses: Buses;
  let telemetry: Telemetry;
  let running: Promise<unknown>;
  let lastMs = 0;

  before(async () => {
    buses = await open();
    telemetry = await startTelemetry({ service: "predictor", host: "host-a", otlpEndpoint: "", traceFile });
    const log = openLog("predictor", "silent");
    const predictor = createPredictor({
      host: "host-a",
      dataDir: dir,
      shard: WHOLE,
      bus: buses.predictor,
      clock: systemClock,
      telemetry,
      log,
    });
    const observed = { from: "last", signal: stop.signal, service: "test" } as const;
    running = Promise.all([
      runActors(predictor.actors, stop),
      collect(followMessages(buses.observer, TOPICS.predictions, observed), predictions),
      collect(followMessages(buses.observer, TOPICS.rejects, observed), {
        push: ({ message }) => rejects.push(message),
      }),
    ]);
    await configure(YAML);
    // The predictor follows metrics from now on: say something until it is heard.
    await waitFor(() => tick().then(() => predictions.length > 0), { withinMs: WITHIN_MS, everyMs: TICK_MS });
  });

  after(async () => {
    stop.abort();
    await running;
    await telemetry.close();
    await buses.close();
    rmSync(dir, { recursive: true, force: true });
  });

  async function configure(yaml: string): Promise<void> {
    const header = headerToWire({ time: { wallMs: Date.now(), counter: 0 }, source: "test" });
    await publishMessage(buses.cli, TOPICS.config, {
      names: [],
      message: create(ConfigSchema, { header, revision: 1n, yaml }),
    });
  }

  /** One batch with demand; returns when it was sampled. */
  async function tick({
    reads = 90,
    extra = [],
    within = ROOT_CONTEXT,
  }: {
    reads?: number;
    extra?: Measured[];
    within?: typeof ROOT_CONTEXT;
  } = {}): Promise<number> {
    lastMs = Math.max(lastMs + 1, Date.now());
    const message = metricBatch([{ readsPerSecond: reads, writesPerSecond: 10 }, ...extra], { atMs: lastMs });
    await publishMessage(buses.collector, TOPICS.metrics, { names: ["host-a"], message, trace: within });
    return lastMs;
  }

  const predictionOf = (sampledMs: number) =>
    waitFor(() => predictions.find(({ message }) => sampledAt(message) === sampledMs), {
      withinMs: WITHIN_MS,
      what: `prediction of the sample at ${sampledMs}`,
    });
  const rejected = (reason: RegExp) =>
    waitFor(() => rejects.find((reject) => reason.test(reject.reason)), {
      withinMs: WITHIN_MS,
      what: `reject ${reason}`,
    });

  test("every batch with demand becomes a prediction of its resource", async () => {
    const { subject, message } = await predictionOf(await tick({ reads: 90 }));
    assert.equal(subject, subjectOf(TOPICS.predictions, "catalog"));
    assert.equal(message.header?.resource, "catalog");
    assert.equal(message.ready, false);
    assert.equal(message.current?.movableRps, 90);
    assert.equal(message.current?.immovableRps, 10);
    assert.equal(message.capacity?.instanceRps, 150);
    assert.equal(message.capacity?.learned, false);
    assert.equal(message.horizons.length, 7);
    for (const { totalRps } of message.horizons) assert.equal(totalRps.length, message.quantileLevels.length);
    assert.equal(message.scorecard?.coverage.length, message.quantileLevels.length);
    assert.equal(message.scorecard?.quietTicks, 0n);
  });

  test("a running predictor says on disk that it works there", async () => {
    assert.notEqual(await heldSince(dir, Date.now()), undefined);
  });

  test("the prediction goes on with the trace of its batch", async () => {
    const collect = telemetry.tracer.startSpan("collect", {}, ROOT_CONTEXT);
    const within = trace.setSpan(ROOT_CONTEXT, collect);
    const received = await predictionOf(await tick({ within }));
    collect.end();
    const { traceId, spanId } = collect.spanContext();
    assert.equal(trace.getSpanContext(received.trace)?.traceId, traceId);
    const span = await waitFor(
      () => spansOf(traceFile).find((one) => one.name === "predict" && one.traceId === traceId),
      {
        withinMs: WITHIN_MS,
        what: "the span",
      },
    );
    assert.equal(span.parentId, spanId);
    assert.equal(trace.getSpanContext(received.trace)?.spanId, span.spanId);
  });

  test("what cannot be used is refused with its reason and stops nothing", async () => {
    await tick({ reads: 1e20 });
    await rejected(/readsPerSecond is 1/);
    await tick({ extra: [{ resource: "stranger", readsPerSecond: 1 }] });
    await rejected(/resource stranger is not in the configuration/);
    await buses.collector.publish(subjectOf(TOPICS.metrics, "host-a"), Buffer.from("no protobuf at all"));
    await rejected(/not a understudy.v1.MetricBatch/);
    await predictionOf(await tick());
  });

  test("a configuration that is wrong is refused and the one before stays", async () => {
    await configure("resources: 7");
    await rejected(/resources/);
    await predictionOf(await tick());
  });

  test("after the bus was away predictions go on", { timeout: 60_000 }, async () => {
    await buses.interrupt();
    const before = predictions.length;
    await waitFor(() => tick().then(() => predictions.length > before), {
      withinMs: 30_000,
      everyMs: TICK_MS,
    });
  });
}

async function collect<T>(from: AsyncIterable<T>, into: { push(item: T): unknown }): Promise<void> {
  for await (const item of from) into.push(item);
}

function sampledAt(prediction: Prediction): number {
  return hlcFromWire(prediction.sampledAt).wallMs;
}

function spansOf(file: string): SpanRecord[] {
  return readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as SpanRecord);
}
