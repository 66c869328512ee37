import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { memoryBus } from "@understudy/bus/memory";
import { publishMessage } from "@understudy/bus/messages";
import { subjectOf, TOPICS } from "@understudy/bus/topics";
import type { Roles, VerdictState } from "@understudy/model/instance";
import { type ResourceStatus, ResourceStatusSchema } from "@understudy/wire/gen/control";
import { PredictionSchema } from "@understudy/wire/gen/prediction";
import { WeightDecisionSchema } from "@understudy/wire/gen/weight";
import { headerToWire } from "@understudy/wire/header";
import { rolesToWire, verdictToWire } from "@understudy/wire/roles";
import { renderResource, resourceToJson, viewResource } from "./status.ts";

const ABOUT = { time: { wallMs: 1, counter: 0 }, source: "test", reason: "" };
/** Field 1 of two bytes, of which one is there. */
const GARBAGE = Buffer.from([0x0a, 0x02, 0x00]);

function statusOf(names: readonly string[]): ResourceStatus {
  const instances = names.map((name, index) => ({
    name,
    incarnation: `${name}-i2`,
    host: "host-a",
    role: index === 0 ? ("primary" as const) : ("shadow" as const),
    phase: "serving" as const,
    address: `127.0.0.1:${8001 + index}`,
    gateAddress: "",
    pid: 0,
    pidStartTicks: 0,
    requestedAtMs: 0,
    readyAtMs: 0,
  }));
  const roles: Roles = { resource: "catalog", epoch: 3, primary: names[0]!, instances };
  return create(ResourceStatusSchema, {
    roles: rolesToWire(roles, ABOUT),
    states: [
      { instance: "c-1", visible: { epoch: 3n, version: 9n } },
      { instance: "c-2", visible: { epoch: 3n, version: 8n }, lagMs: 40 },
    ],
    inSync: ["c-2"],
    lease: "held",
  });
}

async function busSaying(verdicts: Readonly<Record<string, [VerdictState, string]>>) {
  const bus = memoryBus();
  for (const [instance, [state, incarnation]] of Object.entries(verdicts)) {
    const verdict = { resource: "catalog", instance, incarnation, state, sinceMs: 1, evidence: [] };
    const message = verdictToWire(verdict, ABOUT);
    await publishMessage(bus, TOPICS.health, { names: ["catalog", instance], message });
  }
  const shares = [
    { instance: "c-1", readPpm: 600_000 },
    { instance: "c-2", readPpm: 400_000, limitedBy: "slow start" },
  ];
  const header = headerToWire({ resource: "catalog", ...ABOUT });
  const message = create(WeightDecisionSchema, { header, shares });
  await publishMessage(bus, TOPICS.weights, { names: ["catalog"], message });
  return bus;
}

const nothing = () => assert.fail("nothing to complain of");

test("each instance is shown with its verdict and its share, for people and for programs", async () => {
  const bus = await busSaying({ "c-1": ["up", "c-1-i2"], "c-2": ["suspect", "c-2-i2"] });
  const view = await viewResource(bus, statusOf(["c-1", "c-2", "c-3"]), nothing);
  assert.equal(
    renderResource(view),
    `catalog: epoch 3, primary c-1, lease held
INSTANCE  ROLE     PHASE    HEALTH   READS   VERSION  LAG    IN SYNC  SENT  HOST    ADDRESS
c-1       primary  serving  up       60.0 %  9        -      -        -     host-a  127.0.0.1:8001
c-2       shadow   serving  suspect  40.0 %  8        40 ms  yes      0 B   host-a  127.0.0.1:8002
c-3       shadow   serving  -        -       -        -      -        -     host-a  127.0.0.1:8003`,
  );
  const json = resourceToJson(view);
  assert.deepEqual(json.inSync, ["c-2"]);
  assert.deepEqual(json.instances, [
    { instance: "c-1", health: "up", readPpm: 600_000, limitedBy: "" },
    { instance: "c-2", health: "suspect", readPpm: 400_000, limitedBy: "slow start" },
    { instance: "c-3", health: null, readPpm: null, limitedBy: null },
  ]);
});

test("how good the forecast has been is a line of its own, once somebody predicts", async () => {
  const bus = await busSaying({});
  const say = async (ready: boolean) => {
    const scorecard = {
      scored: 900n,
      periodMs: 30_000,
      pinball95: 0.6125,
      coverage: [0.5, 0.951],
      falseAlarmRate: Number.NaN,
      quietTicks: ready ? 400n : 0n,
    };
    const message = create(PredictionSchema, {
      header: headerToWire({ resource: "catalog", ...ABOUT }),
      ready,
      quantileLevels: [0.5, 0.95],
      scorecard,
    });
    await publishMessage(bus, TOPICS.predictions, { names: ["catalog"], message });
    return viewResource(bus, statusOf(["c-1"]), nothing);
  };
  const line = (view: Awaited<ReturnType<typeof say>>) => renderResource(view).split("\n")[1];
  assert.equal(line(await say(false)), "forecast: warming up");
  const view = await say(true);
  assert.equal(
    line(view),
    "forecast: period 30 s; pinball loss 0.613 of the last value's; covered 0.500 of 0.5, 0.951 of 0.95; false alarms in - of 400 quiet steps",
  );
  assert.equal((resourceToJson(view).forecast as { periodMs: number }).periodMs, 30_000);
});

test("a verdict about an earlier incarnation says nothing about this one", async () => {
  const bus = await busSaying({ "c-1": ["down", "c-1-i1"] });
  const { instances } = await viewResource(bus, statusOf(["c-1"]), nothing);
  assert.equal(instances[0]!.health, undefined);
});

test("what cannot be read on the bus is one sentence with its subject, and the rest is shown", async () => {
  const bus = await busSaying({ "c-1": ["up", "c-1-i2"] });
  await bus.publish(subjectOf(TOPICS.health, "catalog", "c-2"), GARBAGE);
  await bus.publish(subjectOf(TOPICS.weights, "catalog"), GARBAGE);
  const problems: string[] = [];
  const view = await viewResource(bus, statusOf(["c-1", "c-2"]), ({ message }) => problems.push(message));
  assert.deepEqual(
    problems.map((problem) => problem.replace(/ \(.*\)$/, "")),
    [
      "understudy.v1.weights.catalog: what is there is no WeightDecision",
      "understudy.v1.health.catalog.c-2: what is there is no Verdict",
    ],
  );
  assert.deepEqual(
    view.instances.map(({ health, share }) => [health, share]),
    [
      ["up", undefined],
      [undefined, undefined],
    ],
  );
});
