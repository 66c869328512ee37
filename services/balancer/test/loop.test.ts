import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { PPM } from "@understudy/model/share";
import { waitFor } from "@understudy/testkit/wait";
import { type MemoryBalancer, memoryBalancer, openMemoryDriver } from "@understudy/traffic/memory";
import { ExplainRequestSchema, PauseRequestSchema, ResumeRequestSchema } from "@understudy/wire/gen/control";
import { LbCommandSchema } from "@understudy/wire/gen/lb";
import { instanceOf, RESOURCE, rolesOf, verdictOf } from "../src/fixtures.ts";
import { openStage, type Stage } from "./stage.ts";

const YAML = `
resources:
  - name: catalog
    driver: memory
    run: { command: [catalog] }
    state: { paths: [catalog.db], consistency: sqlite }
    capacity: { target: 0.85, initialRps: 170 }
    routing: { pool: web, maxShadowShare: 0.9 }
    shadows: { min: 1, max: 4, createMs: 2000, warmUpMs: 2000, holdMs: 2000 }
pools:
  - { name: web, driver: memory, slots: 8 }
`;

const C1 = instanceOf("c-1", { role: "primary" });
const C2 = instanceOf("c-2");
const BOTH = rolesOf([C1, C2], { primary: "c-1" });

/** Generous: machines that test are busy. */
const WITHIN_MS = 30_000;

describe("balancer over memory", () => {
  let balancer: MemoryBalancer;
  let stage: Stage;

  beforeEach(async () => {
    balancer = memoryBalancer({ pool: "web" });
    stage = await openStage(() => openMemoryDriver(balancer));
    await stage.apply(YAML);
  });
  afterEach(async () => {
    await stage.close();
  });

  const plan = () => balancer.internals.plan();
  const share = (instance: string) => plan()?.targets.find((target) => target.instance === instance)?.readPpm;
  const until = <T>(condition: () => T | undefined | false, what: string) =>
    waitFor(condition, { withinMs: WITHIN_MS, what });

  async function standingPair(): Promise<void> {
    stage.fresh("c-2", C2.incarnation, 5);
    stage.roles(BOTH);
    await until(() => plan()?.targets.length === 2, "a plan of two targets");
  }

  test("a prediction above the primary's target moves reads, and tells why and what was set", async () => {
    await standingPair();
    await stage.predict(320, { ahead: { 1000: 330 } });
    await until(() => share("c-2") === 555_556, "the shadow's share");
    const applied = await until(
      () => stage.heard.applied.find(({ revision }) => revision === 2n),
      "the answer on the bus",
    );
    assert.equal(applied.verifiedBy, "acknowledged");
    assert.ok(applied.sampleToAppliedMs < 1_000);
    const decision = stage.heard.weights.find(({ revision }) => revision === 2n);
    assert.equal(decision?.reason?.rule, "predictive");
    assert.equal(stage.heard.commands.at(-1)?.targets.find(({ writes }) => writes)?.instance, "c-1");
    assert.equal(stage.heard.scales.at(-1)?.wantedShadows, 1);
  });

  test("new roles move the writes without the bus", async () => {
    await standingPair();
    stage.bus.setConnected(false);
    stage.verdict(verdictOf(C1, "down"));
    await until(() => share("c-2") === PPM, "all reads at the shadow");
    stage.roles(
      rolesOf(
        [
          { ...C1, role: "fenced" },
          { ...C2, role: "primary" },
        ],
        { epoch: 2, primary: "c-2" },
      ),
    );
    await until(() => plan()?.epoch === 2, "epoch 2");
    assert.equal(await balancer.send("write"), "c-2");
  });

  test("a restarted balancer goes on from the plan it finds, with no share moved", async () => {
    await standingPair();
    await stage.predict(320, { ahead: { 1000: 330 } });
    await until(() => share("c-2") === 555_556, "the shadow's share");
    const before = plan()!;
    const changes = balancer.changes();
    await stage.restart();
    await until(() => stage.missing() === undefined, "readiness");
    await until(() => stage.heard.applied.length > 0 && plan()!.revision >= before.revision, "a decision");
    await stage.predict(320, { ahead: { 1000: 330 } });
    await stage.predict(320, { ahead: { 1000: 330 } });
    assert.deepEqual(plan()?.targets, before.targets);
    assert.ok(balancer.changes() - changes <= 1);
  });

  test("a load balancer that lost its plan gets it back", async () => {
    await standingPair();
    balancer.restart();
    await until(() => plan()?.targets.find(({ writes }) => writes)?.instance === "c-1", "the plan");
  });

  test("a load balancer that is away stops nothing, and gets the newest plan when it is back", async () => {
    await standingPair();
    balancer.setReachable(false);
    await stage.predict(320, { ahead: { 1000: 330 } });
    await until(() => stage.heard.applied.find(({ ok }) => !ok), "a failed answer on the bus");
    balancer.setReachable(true);
    await until(() => share("c-2") === 555_556, "the shadow's share");
  });

  test("a broken prediction goes to the rejects, and the next good one is obeyed", async () => {
    await standingPair();
    await stage.predict(Number.NaN);
    await stage.predict(320, { ahead: { 1000: 330 } });
    await until(() => share("c-2") === 555_556, "the shadow's share");
    const rejected = await stage.bus.last("understudy.v1.rejects.balancer");
    assert.ok(rejected && Buffer.from(rejected.data).includes("demand is no number"));
  });

  test("one trace runs from the prediction through the decision to the load balancer's answer", async () => {
    await standingPair();
    const root = {
      traceId: "0af7651916cd43dd8448eb211c80319c",
      spanId: "b7ad6b7169203331",
      traceFlags: 1,
      isRemote: true,
    };
    const cause = trace.setSpanContext(ROOT_CONTEXT, root);
    const decidedUpon = async () => {
      await stage.predict(320, { ahead: { 1000: 330 }, trace: cause });
      return stage.heard.weights.some(({ traceId }) => traceId === root.traceId);
    };
    await waitFor(decidedUpon, { withinMs: WITHIN_MS, what: "a decision of that trace" });
    const message = await waitFor(() => stage.bus.last("understudy.v1.lb.web.applied"), {
      withinMs: WITHIN_MS,
    });
    assert.match(message.headers.traceparent ?? "", new RegExp(root.traceId));
    const spans = (await stage.close()).filter(({ traceId }) => traceId === root.traceId);
    const decided = spans.find(({ name }) => name === "decide");
    const applied = spans.find(({ name }) => name === "lb.apply");
    assert.equal(decided?.parentId, root.spanId);
    assert.equal(applied?.parentId, decided?.spanId);
    assert.ok(applied && decided && applied.startMs >= decided.startMs);
  });

  test("a plan set by hand holds until resumed, and names its answer", async () => {
    await standingPair();
    const targets = [
      { instance: "c-1", readPpm: 900_000, writes: true },
      { instance: "c-2", readPpm: 100_000 },
    ];
    const applied = await stage.control.apply(create(LbCommandSchema, { pool: "web", targets }));
    assert.equal(applied.ok, true);
    assert.equal(share("c-2"), 100_000);
    await stage.predict(600, { ahead: { 1000: 600 } });
    await stage.predict(600, { ahead: { 1000: 600 } });
    assert.equal(share("c-2"), 100_000);
    await stage.control.resume(create(ResumeRequestSchema, { resource: RESOURCE }));
    await until(() => share("c-2") === 555_556, "the shadow's share");
  });

  test("hands may not move writes, leave shares over, or name strangers", async () => {
    await standingPair();
    const command = (targets: object[], epoch = 0n) =>
      stage.control.apply(create(LbCommandSchema, { pool: "web", epoch, targets }));
    await assert.rejects(command([{ instance: "c-2", readPpm: PPM, writes: true }]), {
      code: "failed-precondition",
    });
    await assert.rejects(command([{ instance: "c-2", readPpm: 1 }]), { code: "invalid-argument" });
    await assert.rejects(command([{ instance: "x", readPpm: PPM }]), { code: "not-found" });
    await assert.rejects(command([{ instance: "c-2", readPpm: PPM }], 9n), { code: "failed-precondition" });
    const stranger = create(PauseRequestSchema, { resource: "other" });
    await assert.rejects(stage.control.pause(stranger), { code: "not-found" });
  });

  test("the last decisions can be explained", async () => {
    await standingPair();
    await stage.predict(320, { ahead: { 1000: 330 } });
    await until(() => share("c-2") === 555_556, "the shadow's share");
    const explained = await stage.control.explain(
      create(ExplainRequestSchema, { resource: RESOURCE, last: 5 }),
    );
    assert.ok(explained.weights.length >= 2);
    assert.match(explained.weights.at(-1)?.reason?.text ?? "", /330 requests\/s foreseen/);
    assert.equal(explained.weights.at(-1)?.reason?.inputs.instanceRps, 170);
    assert.ok(explained.scales.length >= 1);
  });
});
