/** The whole service over a real Redis, a memory bus and the example service as real processes. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { memoryBus } from "@understudy/bus/memory";
import { subjectOf, TOPICS } from "@understudy/bus/topics";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import { type RedisServer, startRedis } from "@understudy/testkit/servers/redis";
import { waitFor } from "@understudy/testkit/wait";
import {
  BarrierRequestSchema,
  RecreateRequestSchema,
  ScaleRequestSchema,
  StatusRequestSchema,
  SwitchoverRequestSchema,
  WatchRequestSchema,
} from "@understudy/wire/gen/control";
import { type Instance, RoleChangedSchema } from "@understudy/wire/gen/role";
import {
  end,
  endInstances,
  instancesOf,
  isAlive,
  keysAt,
  post,
  primaryOf,
  settledWith,
  WITHIN_MS,
} from "./catalog-calls.ts";
import {
  clientOf,
  emptyYaml,
  type Place,
  preparePlace,
  RESOURCE,
  type Started,
  startReplicator,
  yamlOf,
} from "./start-replicator.ts";

const folder = mkdtempSync(join(tmpdir(), "understudy-replicator-"));
let redis: RedisServer;
let place: Place;
let started: Started;
const keys: string[] = [];

before(async () => {
  redis = await startRedis({ name: "redis-replicator" });
  place = await preparePlace({ folder, redis, bus: memoryBus() });
  await configure(yamlOf(place));
  started = await startReplicator(place);
});

after(async () => {
  await endInstances(started);
  await started.stop();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

async function configure(yaml: string): Promise<void> {
  const about = { yaml, file: "test", source: "test", nowMs: Date.now() };
  const applied = await applyConfiguration(place.bus, about);
  assert.ok(applied.applied, JSON.stringify(applied));
}

const instances = () => instancesOf(started);
const primary = () => primaryOf(started);
const settled = (shadows = 1) => settledWith(started, shadows);

async function instance(name: string): Promise<Instance> {
  return (await instances()).find((each) => each.name === name)!;
}
async function order(address: string): Promise<number> {
  const key = `order-${keys.length}`;
  const status = await post(address, "/orders", key);
  if (status < 300) keys.push(key);
  return status;
}
async function gateOf({ gateAddress }: Instance): Promise<number> {
  return (await fetch(`http://${gateAddress}/primary`)).status;
}

test("a configured resource gets a primary and a shadow in sync", async () => {
  const first = await settled();
  assert.equal(first.name, `${RESOURCE}-1`);
  assert.equal(await gateOf(first), 200);
  assert.equal(await gateOf(await instance(`${RESOURCE}-2`)), 503);
});

test("a critical write is answered once the shadow has it, and the shadow shows it", async () => {
  const { address } = await settled();
  assert.equal(await order(address), 201);
  const shadow = await instance(`${RESOURCE}-2`);
  await waitFor(async () => (await keysAt(shadow.address)).includes(keys[0]!), { withinMs: WITHIN_MS });
});

test("a shadow refuses writes", async () => {
  await settled();
  assert.equal(await post((await instance(`${RESOURCE}-2`)).address, "/views", "view-x"), 425);
});

test("an instance may ask for a Barrier of its own resource, and for nothing else", async () => {
  const own = clientOf(place, `app-${RESOURCE}`);
  const other = clientOf(place, "app-other");
  const { name } = await settled();
  const { epoch } = (await started.status()).roles!;
  const request = create(BarrierRequestSchema, { resource: RESOURCE, instance: name, epoch });
  try {
    const { members } = await own.barrier(request);
    assert.deepEqual(members, [`${RESOURCE}-2`]);
    await assert.rejects(other.barrier(request), { code: "permission-denied" });
    await assert.rejects(own.status(create(StatusRequestSchema, {})), { code: "permission-denied" });
    for (const wrong of [{ instance: `${RESOURCE}-2` }, { epoch: epoch + 1n }, { epoch: 0n }]) {
      const refused = create(BarrierRequestSchema, { ...request, ...wrong });
      await assert.rejects(own.barrier(refused), { code: "failed-precondition" });
    }
  } finally {
    own.close();
    other.close();
  }
});

test("the balancer may look and not touch, the collector neither", async () => {
  const [balancer, collector] = [clientOf(place, "balancer"), clientOf(place, "collector")];
  const { name } = await settled();
  const look = create(StatusRequestSchema, { resource: RESOURCE });
  const watch = create(WatchRequestSchema, { resource: RESOURCE });
  const firstOf = async (client: typeof balancer) => {
    const stop = new AbortController();
    for await (const { update } of client.watch(watch, { signal: stop.signal })) return update.case;
    return undefined;
  };
  try {
    assert.equal((await balancer.status(look)).resources.length, 1);
    assert.equal(await firstOf(balancer), "roles");
    const denied = { code: "permission-denied" };
    const change = create(SwitchoverRequestSchema, { resource: RESOURCE });
    await assert.rejects(balancer.switchover(change), denied);
    await assert.rejects(collector.switchover(change), denied);
    await assert.rejects(collector.status(look), denied);
    await assert.rejects(firstOf(collector), denied);
    assert.equal((await primary())?.name, name);
  } finally {
    balancer.close();
    collector.close();
  }
});

test("a killed primary is replaced with every acknowledged critical write, and comes back by deltas", async () => {
  const old = await settled();
  for (let count = 0; count < 20; count += 1) assert.equal(await order(old.address), 201);
  const killedMs = performance.now();
  end(old.pid);
  const next = await waitFor(
    async () => {
      const found = await primary();
      return found?.name === old.name ? undefined : found;
    },
    { withinMs: WITHIN_MS, everyMs: 2, what: "another primary" },
  );
  const promotedMs = performance.now() - killedMs;
  await waitFor(async () => (await order(next.address)) === 201, {
    withinMs: WITHIN_MS,
    everyMs: 5,
    what: "a write",
  });
  console.log(
    JSON.stringify({
      promotedMs: Math.round(promotedMs),
      firstWriteMs: Math.round(performance.now() - killedMs),
    }),
  );
  const found = await keysAt(next.address);
  assert.deepEqual(
    keys.filter((key) => !found.includes(key)),
    [],
  );
  await settled();
  const again = await instance(old.name);
  assert.notEqual(again.incarnation, old.incarnation);
  await waitFor(async () => (await keysAt(again.address)).length >= keys.length, { withinMs: WITHIN_MS });
  const state = (await started.status()).states.find((each) => each.instance === old.name);
  assert.ok(
    state && state.deltaBytes + state.seedBytes < state.stateBytes,
    `${state?.deltaBytes} bytes of ${state?.stateBytes}`,
  );
});

test("a killed shadow is made again", async () => {
  await settled();
  const shadow = await waitFor(async () => (await instances()).find((each) => each.role === 2), {
    withinMs: WITHIN_MS,
  });
  end(shadow.pid);
  await waitFor(async () => (await instance(shadow.name)).incarnation !== shadow.incarnation, {
    withinMs: WITHIN_MS,
  });
  assert.equal(await order((await settled()).address), 201);
});

test("a planned change moves the primary and keeps its process", async () => {
  const old = await settled();
  const { primary: name } = await started.client.switchover(
    create(SwitchoverRequestSchema, { resource: RESOURCE }),
  );
  assert.notEqual(name, old.name);
  assert.equal(await gateOf(old), 503);
  assert.equal(await post(old.address, "/views", "view-old"), 425);
  const next = await settled();
  assert.equal(await order(next.address), 201);
  assert.equal((await instance(old.name)).pid, old.pid);
});

test("shadows are made and let go on demand", async () => {
  await settled();
  await started.client.scale(create(ScaleRequestSchema, { resource: RESOURCE, shadows: 3 }));
  const { address } = await settled(3);
  assert.equal(await order(address), 201);
  await started.client.scale(create(ScaleRequestSchema, { resource: RESOURCE, shadows: 0 }));
  await settled(1);
  await waitFor(async () => (await instances()).length === 2, { withinMs: WITHIN_MS, what: "two instances" });
});

test("without its replicator a primary stops writing at half its lease, and goes on with the next one", async () => {
  const { address, pid } = await settled();
  await started.stop();
  await waitFor(async () => (await post(address, "/views", "view-late")) === 425, { withinMs: WITHIN_MS });
  started = await startReplicator(place);
  const again = await settled();
  assert.equal(again.pid, pid);
  assert.equal(await order(again.address), 201);
});

test("while the store is away the primary writes on past its lease, and nobody is promoted", async () => {
  const old = await settled();
  await redis.stop();
  const awayMs = performance.now();
  await waitFor(async () => (await started.status()).lease === "store unreachable: held by promise", {
    withinMs: WITHIN_MS,
  });
  await waitFor(() => performance.now() - awayMs > 3000, { withinMs: WITHIN_MS });
  assert.equal(await order(old.address), 201);
  end(old.pid);
  await waitFor(async () => (await started.status()).roles?.primary === "", { withinMs: WITHIN_MS });
  await redis.restart();
  const next = await settled();
  assert.notEqual(next.name, old.name);
  const found = await keysAt(next.address);
  assert.deepEqual(
    keys.filter((key) => !found.includes(key)),
    [],
  );
});

for (const [when, pauseService] of [
  ["is let go", false],
  ["while its replicator was away is let go by the next one", true],
] as const) {
  test(`a resource that leaves the configuration ${when}, and comes back with everything`, async () => {
    const old = await settled();
    assert.equal(await order(old.address), 201);
    const before = await instances();
    const { epoch } = (await started.status()).roles!;
    if (pauseService) await started.stop();
    await configure(emptyYaml(place));
    if (pauseService) started = await startReplicator(place);
    for (const { name, pid } of before)
      await waitFor(() => !isAlive(pid), { withinMs: WITHIN_MS, what: `the end of ${name}` });
    await assert.rejects(started.status(), { code: "not-found" });
    const said = await waitFor(
      async () => {
        const last = await place.bus.last(subjectOf(TOPICS.roles, RESOURCE));
        const roles = fromBinary(RoleChangedSchema, last!.data);
        return roles.instances.length === 0 && roles;
      },
      { withinMs: WITHIN_MS, what: "roles without instances" },
    );
    assert.equal(said.epoch, epoch, "as high as the last, or nobody would believe it");
    await configure(yamlOf(place));
    const again = await settled();
    const found = await keysAt(again.address);
    assert.deepEqual(
      keys.filter((key) => !found.includes(key)),
      [],
    );
    assert.equal(await order(again.address), 201);
  });
}

test("a shadow that somebody asks for is made again, a primary is not", async () => {
  const { name } = await settled();
  const recreate = (instance: string) =>
    started.client.recreate(create(RecreateRequestSchema, { resource: RESOURCE, instance }));
  await assert.rejects(recreate(name), { code: "failed-precondition" });
  await assert.rejects(recreate("nobody"), { code: "not-found" });
  const shadow = (await instances()).find((each) => each.name !== name)!;
  await recreate(shadow.name);
  await waitFor(async () => (await instance(shadow.name)).incarnation !== shadow.incarnation, {
    withinMs: WITHIN_MS,
  });
  await settled();
});
