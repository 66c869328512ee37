/** The example as a third party would run it: its own process, a real NATS, a user who may only subscribe. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { connect } from "@nats-io/transport-node";
import type { Bus } from "@understudy/bus/bus";
import { connectJetStream, ensureStreams } from "@understudy/bus/jetstream";
import { publishMessage } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import { accessOf } from "@understudy/testkit/cluster";
import { openRun, type Run } from "@understudy/testkit/run";
import { type NatsServer, startNats } from "@understudy/testkit/servers/nats";
import { EventSchema } from "@understudy/wire/gen/event";
import { PredictionSchema } from "@understudy/wire/gen/prediction";
import { headerToWire } from "@understudy/wire/header";

let run: Run;
let nats: NatsServer;
let predictor: Bus;

before(async () => {
  run = openRun();
  nats = await startNats({ run });
  await ensureStreams(accessOf(nats, "admin"));
  predictor = await connectJetStream({ ...accessOf(nats, "predictor"), name: "predictor" });
});

after(async () => {
  await predictor.close();
  await nats.stop();
  await run.close();
});

function startSubscriber(): ChildProcess {
  const { user, passwordFile } = nats.credentials("subscriber");
  return spawn(process.execPath, [join(import.meta.dirname, "../src/main.ts")], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { NATS_URL: nats.url, NATS_USER: user, NATS_PASSWORD_FILE: passwordFile },
  });
}

test("it prints predictions and events as they are published, and ends in order", {
  timeout: 20_000,
}, async () => {
  const child = startSubscriber();
  const [greeting] = (await once(createInterface({ input: child.stderr! }), "line")) as [string];
  assert.match(greeting, /listening to understudy\.v1\.predictions/);
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
  const header = headerToWire({
    resource: "catalog",
    time: { wallMs: 1_700_000_000_000, counter: 0 },
    source: "test",
  });
  const prediction = create(PredictionSchema, { header, ready: true, quantileLevels: [0.95] });
  await publishMessage(predictor, TOPICS.predictions, { names: ["catalog"], message: prediction });
  const event = create(EventSchema, { header, kind: "shift", text: "reads move to catalog-2" });
  await publishMessage(predictor, TOPICS.events, { names: ["catalog"], message: event });
  const printed = [
    JSON.parse((await lines.next()).value as string),
    JSON.parse((await lines.next()).value as string),
  ];
  const byType = Object.fromEntries(printed.map((line) => [line.type, line]));
  assert.equal(byType.Prediction.message.ready, true);
  assert.equal(byType.Event.subject, "understudy.v1.events.catalog");
  assert.equal(byType.Event.message.text, "reads move to catalog-2");
  child.kill("SIGTERM");
  const [code] = (await once(child, "exit")) as [number | null];
  assert.equal(code, 0);
});

test("its user cannot publish: the server refuses and nobody hears it", { timeout: 20_000 }, async () => {
  const { user, passwordFile } = nats.credentials("subscriber");
  const options = { servers: nats.url, user, pass: readFileSync(passwordFile, "utf8").trim() };
  const thirdParty = await connect(options);
  const listener = await connect(options);
  const heard: string[] = [];
  const listening = (async () => {
    for await (const { subject } of listener.subscribe("understudy.v1.>")) heard.push(subject);
  })();
  await listener.flush();
  const refused = (async () => {
    for await (const status of thirdParty.status()) if (status.type === "error") return status.error.message;
    return "";
  })();
  for (const subject of [
    "understudy.v1.weights.catalog",
    "understudy.v1.lb.web.commands",
    "understudy.v1.config",
  ]) {
    thirdParty.publish(subject, new Uint8Array());
  }
  await thirdParty.flush();
  assert.match(await refused, /permissions violation/i);
  await predictor.publish("understudy.v1.predictions.catalog", new Uint8Array());
  await listener.flush();
  await Promise.all([thirdParty.close(), listener.close()]);
  await listening;
  assert.deepEqual(heard, ["understudy.v1.predictions.catalog"]);
});
