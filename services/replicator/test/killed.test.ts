/** The service as a deployment runs it, over real NATS and Redis, killed and started again by its supervisor. */

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { connectJetStream, ensureStreams } from "@understudy/bus/jetstream";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import type { Client } from "@understudy/service/grpc";
import { accessOf } from "@understudy/testkit/cluster";
import { openRun, type Run } from "@understudy/testkit/run";
import { type NatsServer, startNats } from "@understudy/testkit/servers/nats";
import { type RedisServer, startRedis } from "@understudy/testkit/servers/redis";
import { type ServiceProcess, startService } from "@understudy/testkit/service-process";
import { waitFor } from "@understudy/testkit/wait";
import { type ReplicationControl, StatusRequestSchema } from "@understudy/wire/gen/control";
import { type Instance, InstancePhase } from "@understudy/wire/gen/role";
import { clientOf, type Place, preparePlace, RESOURCE, yamlOf } from "./start-replicator.ts";

const WITHIN_MS = 60_000;
const RESTART_AFTER_MS = 200;
/** Half of it outlasts a restart also on a machine with many other things to do. */
const LEASE_MS = 60_000;

let run: Run;
let nats: NatsServer;
let redis: RedisServer;
let place: Place;
let service: ServiceProcess;
let client: Client<typeof ReplicationControl>;

before(async () => {
  run = openRun();
  [nats, redis] = await Promise.all([startNats({ run }), startRedis({ run })]);
  await ensureStreams(accessOf(nats, "admin"));
  const bus = await connectJetStream({ ...accessOf(nats, "cli"), name: "test" });
  const folder = join(run.folder, "place");
  mkdirSync(folder, { recursive: true });
  place = await preparePlace({ folder, redis, bus });
  service = await startService(run, {
    name: "replicator",
    host: "host-a",
    nats: { url: nats.url, ...nats.credentials("replicator") },
    redis,
    grpc: { replicator: `127.0.0.1:${place.grpcPort}`, health: "127.0.0.1:1", balancer: "127.0.0.1:1" },
    tlsDir: join(folder, "tls", "replicator"),
    traceFile: join(run.folder, "trace.jsonl"),
    logLevel: "warn",
    restartAfterMs: RESTART_AFTER_MS,
    env: {},
  });
  const yaml = yamlOf(place, { leaseMs: LEASE_MS });
  const applied = await applyConfiguration(bus, { yaml, file: "test", source: "test", nowMs: Date.now() });
  assert.ok(applied.applied);
  client = clientOf(place, "cli");
});

after(async () => {
  client.close();
  await service.stop();
  await place.bus.close();
  await run.close();
});

async function settled(): Promise<readonly Instance[]> {
  return waitFor(
    async () => {
      const { resources } = await client.status(create(StatusRequestSchema, { resource: RESOURCE }));
      const { roles, inSync } = resources[0]!;
      const serving = roles!.instances.filter((each) => each.phase === InstancePhase.SERVING);
      return roles?.primary && inSync.length === 1 && serving.length === 2 && roles.instances;
    },
    { withinMs: WITHIN_MS, what: "a primary and a shadow in sync" },
  );
}

async function write(address: string, path: string, key: string): Promise<number> {
  const response = await fetch(`http://${address}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify({ product: 1, quantity: 1 }),
  });
  await response.arrayBuffer();
  return response.status;
}

test("killed and started again, it keeps processes and roles, and no write is refused meanwhile", async () => {
  const before = await settled();
  const { address } = before.find((each) => each.role === 1)!;
  const startedPid = service.pid();
  await service.kill();
  // Not critical: answered by the primary alone, under the lease it still has.
  assert.equal(await write(address, "/views", "view-1"), 201);
  // Critical: waits for the next replicator, perhaps longer than the service itself does; then its key is sent again.
  const answers: number[] = [];
  await waitFor(
    async () => {
      answers.push(await write(address, "/orders", "order-1"));
      return answers.at(-1) === 201;
    },
    { withinMs: WITHIN_MS, what: "a critical write" },
  );
  assert.ok(!answers.includes(425), `refused: ${answers.join(", ")}`);
  assert.notEqual(service.pid(), startedPid);
  const after = await settled();
  assert.deepEqual(after.map(identityOf), before.map(identityOf));
});

test("what died while it was away is found dead, and the shadow is promoted", async () => {
  const before = await settled();
  const old = before.find((each) => each.role === 1)!;
  await service.kill();
  process.kill(old.pid, "SIGKILL");
  const next = await primaryAfter(old);
  assert.equal(await write(next.address, "/orders", "order-2"), 201);
});

test("without NATS it promotes all the same", async () => {
  const old = (await settled()).find((each) => each.role === 1)!;
  await nats.stop();
  process.kill(old.pid, "SIGKILL");
  const next = await primaryAfter(old);
  assert.equal(await write(next.address, "/orders", "order-3"), 201);
  await nats.restart();
});

test("without NATS the next replicator takes over all the same, and promotes", async () => {
  const before = await settled();
  const old = before.find((each) => each.role === 1)!;
  await nats.stop();
  await service.kill();
  await service.ready();
  assert.deepEqual((await settled()).map(identityOf), before.map(identityOf));
  process.kill(old.pid, "SIGKILL");
  const next = await primaryAfter(old);
  assert.equal(await write(next.address, "/orders", "order-4"), 201);
  await nats.restart();
});

function primaryAfter(old: Instance): Promise<Instance> {
  return waitFor(
    async () => {
      const found = (await settled()).find((each) => each.role === 1);
      return found?.name === old.name ? undefined : found;
    },
    { withinMs: WITHIN_MS, what: "another primary" },
  );
}

function identityOf({ name, incarnation, role, pid, address, gateAddress }: Instance) {
  return { name, incarnation, role, pid, address, gateAddress };
}
