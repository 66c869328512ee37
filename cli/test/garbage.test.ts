/** What lies on the bus may be anything. Commands say so in one line, and go on with the rest. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { Bus } from "@understudy/bus/bus";
import { connectJetStream, ensureStreams } from "@understudy/bus/jetstream";
import { publishMessage } from "@understudy/bus/messages";
import { subjectOf, TOPICS } from "@understudy/bus/topics";
import { accessOf } from "@understudy/testkit/cluster";
import { writeContext } from "@understudy/testkit/context";
import { processRun } from "@understudy/testkit/run";
import { type NatsServer, startNats } from "@understudy/testkit/servers/nats";
import { EventSchema } from "@understudy/wire/gen/event";
import { RoleChangedSchema } from "@understudy/wire/gen/role";
import { headerToWire } from "@understudy/wire/header";
import { understudy } from "./run-cli.ts";

/** Field 1 of two bytes, of which one is there. */
const GARBAGE = Buffer.from([0x0a, 0x02, 0x00]);

let nats: NatsServer;
let context: string;

before(async () => {
  nats = await startNats();
  await ensureStreams(accessOf(nats, "admin"));
  context = join(processRun().folder, "context.json");
  const nobody = "127.0.0.1:1";
  writeContext(context, {
    version: 1,
    nats: { url: nats.url, ...nats.credentials("cli") },
    tlsDir: "",
    grpc: { replicator: nobody, health: nobody, balancer: nobody },
    probes: {},
  });
});

function ask(...args: readonly string[]) {
  return understudy([...args, "--context", context]);
}

async function busOfReplicator(t: TestContext): Promise<Bus> {
  const bus = await connectJetStream({ ...accessOf(nats, "replicator"), name: "test" });
  t.after(() => bus.close());
  return bus;
}

function headerOf(resource: string) {
  return headerToWire({ resource, time: { wallMs: Date.now(), counter: 0 }, source: "test" });
}

test("what is no event is said in one line, and the events around it are shown", async (t) => {
  const bus = await busOfReplicator(t);
  const say = (words: string) =>
    publishMessage(bus, TOPICS.events, {
      names: ["mugs"],
      message: create(EventSchema, { header: headerOf("mugs"), text: words }),
    });
  await say("first");
  await bus.publish(subjectOf(TOPICS.events, "mugs"), GARBAGE);
  await say("third");
  const { code, out, err } = await ask("events", "--resource", "mugs");
  assert.equal(code, 0);
  assert.match(out, /^\S+ {2}mugs {2}first\n\S+ {2}mugs {2}third\n$/);
  assert.match(err, /^understudy: understudy\.v1\.events\.mugs: what is there is no Event \(.*\)\n$/);
});

test("state recover takes no epoch from what is no membership, and says what to do", async (t) => {
  const bus = await busOfReplicator(t);
  await bus.publish(subjectOf(TOPICS.roles, "mugs"), GARBAGE);
  const garbage = await ask("state", "recover", "mugs");
  assert.deepEqual([garbage.code, garbage.out], [1, ""]);
  assert.match(
    garbage.err,
    /^understudy: \S+roles\.mugs: .* no RoleChanged \(.*\): name the epoch with --epoch\n$/,
  );
});

test("state recover takes no epoch that cannot be: the store would be raised to it for good", async (t) => {
  const bus = await busOfReplicator(t);
  const recover = async (epoch: bigint) => {
    const message = create(RoleChangedSchema, { header: headerOf("cups"), epoch });
    await publishMessage(bus, TOPICS.roles, { names: ["cups"], message });
    return ask("state", "recover", "cups");
  };
  const absurd = await recover(2n ** 63n);
  assert.equal(absurd.code, 1);
  assert.match(absurd.err, /bad epoch 9223372036854775808\): name the epoch with --epoch\n$/);
  const none = await recover(0n);
  assert.equal(none.code, 1);
  assert.match(none.err, /^understudy: .* in epoch 0: name the epoch with --epoch\n$/);
});
