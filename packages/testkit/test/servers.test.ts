/** The servers themselves: they keep their data over a crash, and NATS keeps each user to its rights. */

import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { test } from "node:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { connectJetStream, ensureStreams } from "@understudy/bus/jetstream";
import { accessOf } from "@understudy/testkit/cluster";
import { startHaproxy } from "@understudy/testkit/servers/haproxy";
import { startNats } from "@understudy/testkit/servers/nats";
import type { NatsUserName } from "@understudy/testkit/servers/nats-users";
import { startRedis } from "@understudy/testkit/servers/redis";
import { Redis } from "ioredis";

const HAPROXY_BARE = (folder: string) => `global
  stats socket ${folder}/admin.sock level admin
defaults
  timeout client 1s
  timeout server 1s
  timeout connect 1s
`;

test("Redis keeps what it acknowledged when it is killed", async (t) => {
  const server = await startRedis();
  t.after(() => server.stop());
  assert.equal(statSync(server.passwordFile).mode & 0o777, 0o600);
  const password = readFileSync(server.passwordFile, "utf8");
  const open = () => new Redis(server.url, { password, maxRetriesPerRequest: 1 });
  const before = open();
  before.on("error", () => undefined); // Its connection breaks when we kill the server.
  await before.set("epoch", "7");
  assert.deepEqual(await before.config("GET", "maxmemory-policy"), ["maxmemory-policy", "noeviction"]);
  await server.kill();
  before.disconnect();
  assert.equal(server.pid(), undefined);
  await server.restart();
  const after = open();
  t.after(() => after.disconnect());
  assert.equal(await after.get("epoch"), "7");
});

test("NATS keeps its streams when it is killed, and lets services publish on their own subjects only", async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  await ensureStreams(accessOf(server, "admin"));
  await server.kill();
  await server.restart();
  const publishAs = async (user: NatsUserName, subject: string) => {
    const bus = await connectJetStream({ ...accessOf(server, user), name: "test" });
    t.after(() => bus.close());
    await bus.publish(`understudy.v1.${subject}`, Buffer.from("x"));
  };
  await publishAs("collector", "metrics.host-a");
  await publishAs("health", "health.catalog.catalog-1");
  await publishAs("predictor", "rejects.predictor");
  await assert.rejects(publishAs("collector", "weights.catalog"));
  await assert.rejects(publishAs("health", "roles.catalog"));
  await assert.rejects(publishAs("predictor", "rejects.balancer"));
  await assert.rejects(publishAs("subscriber", "events.catalog"));
});

test("a third party reads a stream and can neither change nor publish anything", async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  await ensureStreams(accessOf(server, "admin"));
  const health = await connectJetStream({ ...accessOf(server, "health"), name: "test" });
  t.after(() => health.close());
  await health.publish("understudy.v1.health.catalog.catalog-1", Buffer.from("up"));
  const { url, user, password } = accessOf(server, "subscriber");
  const connection = await connect({ servers: url, user, pass: password });
  t.after(() => connection.close());
  const consumer = await jetstream(connection).consumers.get("PIPELINE", {
    filter_subjects: "understudy.v1.health.>",
  });
  assert.equal((await consumer.next({ expires: 5000 }))?.string(), "up");
  const manager = await jetstreamManager(connection, { checkAPI: false, timeout: 500 });
  await assert.rejects(manager.streams.purge("PIPELINE"));
  await assert.rejects(manager.streams.delete("PIPELINE"));
});

test("HAProxy starts under a given configuration, and its own words tell why another is refused", async (t) => {
  const server = await startHaproxy({ config: HAPROXY_BARE, socket: "admin.sock" });
  t.after(() => server.stop());
  await server.kill();
  await server.restart();
  assert(server.pid());
  const wrong = startHaproxy({ config: () => "frontend f\n  nonsense\n", socket: "a.sock", name: "wrong" });
  await assert.rejects(wrong, /nonsense/);
});
