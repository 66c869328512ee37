/**
 * Two hosts: two replicators with their own folders, gRPC and mirror addresses, one store and one bus. The primary's host, its replicator
 * and all, dies; comes back; hands the lead over as asked.
 */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { memoryBus } from "@understudy/bus/memory";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import { connectGrpc, GrpcError } from "@understudy/service/grpc";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { freePort } from "@understudy/testkit/ports";
import { type RedisServer, startRedis } from "@understudy/testkit/servers/redis";
import { waitFor } from "@understudy/testkit/wait";
import { SwitchoverRequestSchema } from "@understudy/wire/gen/control";
import { EndShadowRequestSchema, HostControl } from "@understudy/wire/gen/host";
import type { Instance } from "@understudy/wire/gen/role";
import { end, endInstances, keysAt, post, primaryOf, settledWith, WITHIN_MS } from "./catalog-calls.ts";
import { CATALOG, type Place, RESOURCE, type Started, startReplicator } from "./start-replicator.ts";

const LEASE_MS = 3_000;
/** Each host has an address of its own. */
const ADDRESSES = { "edge-a": "127.0.0.1", "edge-b": "127.0.0.2" } as const;
type Host = keyof typeof ADDRESSES;
const HOSTS = Object.keys(ADDRESSES) as Host[];

const folder = mkdtempSync(join(tmpdir(), "understudy-hosts-"));
let redis: RedisServer;
let places: Record<Host, Place>;
const running = new Map<Host, Started>();

before(async () => {
  redis = await startRedis({ name: "redis-hosts" });
  const bus = memoryBus();
  const tls = join(folder, "tls");
  const authority = await createAuthority(tls);
  const names = [
    ...HOSTS.map((host) => `replicator-${host}`),
    "replicator-stranger",
    "cli",
    `app-${RESOURCE}`,
  ];
  for (const name of names) await issueCertificate(authority, { name, dir: join(tls, name) });
  const placeOf = async (host: Host): Promise<[Host, Place]> => {
    const at = join(folder, host);
    mkdirSync(at);
    return [
      host,
      { folder: at, tls, redis, bus, host, grpcPort: await freePort(), mirrorPort: await freePort() },
    ];
  };
  places = Object.fromEntries(await Promise.all(HOSTS.map(placeOf))) as Record<Host, Place>;
  const about = { yaml: yamlOf(tls), file: "test", source: "test", nowMs: Date.now() };
  const applied = await applyConfiguration(bus, about);
  assert.ok(applied.applied, JSON.stringify(applied));
  for (const host of HOSTS) await start(host);
});

after(async () => {
  for (const started of running.values()) {
    await endInstances(started);
    await started.stop();
  }
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

function yamlOf(tls: string): string {
  const hosts = HOSTS.map((name) => {
    const { grpcPort, mirrorPort } = places[name];
    return `  - { name: ${name}, control: "127.0.0.1:${grpcPort}", data: "${ADDRESSES[name]}:${mirrorPort}", address: ${ADDRESSES[name]} }`;
  });
  return `
resources:
  - name: ${RESOURCE}
    host: edge-a
    run:
      readyWithinMs: 60000
      command: ["${process.execPath}", "${CATALOG}"]
      env:
        UNDERSTUDY_TLS_DIR: "${join(tls, `app-${RESOURCE}`)}"
        CATALOG_START_MS: "100"
        CATALOG_SERVICE_MS: "2"
        CATALOG_WARM_UP_MS: "0"
        CATALOG_PRODUCTS: "500"
    state: { paths: [catalog.db], consistency: sqlite }
    routing: { pool: web }
    shadows: { min: 1, max: 3, hosts: [edge-a, edge-b] }
    health: { http: /healthz }
    lease: { durationMs: ${LEASE_MS} }
pools:
  - { name: web, driver: memory, frontend: "127.0.0.1:1" }
hosts:
${hosts.join("\n")}
`;
}

async function start(host: Host): Promise<Started> {
  const started = await startReplicator(places[host]);
  running.set(host, started);
  return started;
}

function on(host: Host): Started {
  return running.get(host)!;
}

async function shadowOf(host: Host): Promise<Instance> {
  const { roles } = await on(host).status();
  return roles!.instances.find((each) => each.name !== roles!.primary)!;
}

async function written(address: string, key: string): Promise<void> {
  await waitFor(async () => (await post(address, "/orders", key)) === 201, {
    withinMs: WITHIN_MS,
    what: `a critical write at ${address}`,
  });
}

test("a shadow on another host is in sync, and a critical write is there when it is answered", async () => {
  const primary = await settledWith(on("edge-a"), 1);
  assert.equal(primary.host, "edge-a");
  const shadow = await shadowOf("edge-a");
  assert.equal(shadow.host, "edge-b");
  assert.match(shadow.address, /^127\.0\.0\.2:/);
  await written(primary.address, "first");
  const keys = () => keysAt(shadow.address);
  await waitFor(async () => (await keys()).includes("first"), {
    withinMs: WITHIN_MS,
    what: "the write there",
  });
});

test("who leads is not told what to do, by whomever; and a host that is not configured is told nothing", async () => {
  const { address: _, ...primary } = (await primaryOf(on("edge-a")))!;
  const tell = async (from: string, epoch: bigint) => {
    const client = connectGrpc(
      HostControl,
      `127.0.0.1:${places["edge-a"].grpcPort}`,
      readTls(join(folder, "tls", from)),
    );
    const { name: instance, incarnation } = primary;
    const shadow = { resource: RESOURCE, instance, incarnation, epoch };
    try {
      await client.endShadow(create(EndShadowRequestSchema, { shadow }));
      return "done";
    } catch (error) {
      assert.ok(error instanceof GrpcError);
      return error.code;
    } finally {
      client.close();
    }
  };
  assert.equal(await tell("replicator-edge-b", 0n), "failed-precondition");
  assert.equal(await tell("replicator-edge-b", 1_000n), "failed-precondition");
  assert.equal(await tell("replicator-stranger", 1_000n), "permission-denied");
  assert.equal(await tell("cli", 1_000n), "permission-denied");
  assert.equal((await primaryOf(on("edge-a")))?.pid, primary.pid);
});

test("a shadow whose program ends on its host is made again there", async () => {
  const before = await shadowOf("edge-a");
  end(before.pid);
  await waitFor(async () => (await shadowOf("edge-a"))?.incarnation !== before.incarnation, {
    withinMs: WITHIN_MS,
    what: "a new incarnation",
  });
  const primary = await settledWith(on("edge-a"), 1);
  assert.equal((await shadowOf("edge-a")).host, "edge-b");
  assert.equal(primary.host, "edge-a");
});

test("a replicator that is restarted finds its shadow elsewhere as it was", async () => {
  const before = await shadowOf("edge-a");
  await on("edge-a").stop();
  await start("edge-a");
  await settledWith(on("edge-a"), 1);
  const now = await shadowOf("edge-a");
  assert.deepEqual([now.host, now.pid, now.incarnation], ["edge-b", before.pid, before.incarnation]);
});

test("the store is gone: the primary goes on by the promise of the other host, and stays the primary", async () => {
  const before = await settledWith(on("edge-a"), 1);
  redis.signal("SIGSTOP");
  try {
    const goneMs = performance.now();
    await waitFor(async () => /by promise/.test((await on("edge-a").status()).lease), {
      withinMs: WITHIN_MS,
      what: "the promise",
    });
    await sleep(Math.max(0, LEASE_MS - (performance.now() - goneMs)));
    await written(before.address, "without a store");
    assert.equal(await primaryOf(on("edge-b")), undefined);
  } finally {
    redis.signal("SIGCONT");
  }
  const after = await settledWith(on("edge-a"), 1);
  assert.deepEqual([after.name, after.pid], [before.name, before.pid]);
});

test("the store is gone and the other host does not answer: the primary stops itself in time", async () => {
  const before = await settledWith(on("edge-a"), 1);
  const shadow = await shadowOf("edge-a");
  await on("edge-b").stop();
  redis.signal("SIGSTOP");
  try {
    await waitFor(async () => (await post(before.address, "/views", `view-${Math.random()}`)) === 425, {
      withinMs: WITHIN_MS,
      what: "the primary to refuse writes",
    });
  } finally {
    redis.signal("SIGCONT");
  }
  await start("edge-b");
  const leading = () => primaryOf(on("edge-a"));
  await waitFor(async () => (await leading()) ?? (await primaryOf(on("edge-b"))), {
    withinMs: WITHIN_MS,
    what: "a primary again",
  });
  if (!(await leading())) {
    const request = create(SwitchoverRequestSchema, { resource: RESOURCE });
    await settledWith(on("edge-b"), 1);
    await on("edge-b").client.switchover(request, { deadlineMs: WITHIN_MS });
  }
  await settledWith(on("edge-a"), 1);
  assert.equal((await shadowOf("edge-a")).host, shadow.host);
});

test("the primary's host dies: another takes the lead after the lease, with every critical write", async () => {
  const primary = await settledWith(on("edge-a"), 1);
  await written(primary.address, "before the end");
  const { roles } = await on("edge-a").status();
  const diedMs = performance.now();
  await on("edge-a").stop();
  for (const { host, pid } of roles!.instances) if (host === "edge-a") end(pid);
  running.delete("edge-a");
  const next = await waitFor(() => primaryOf(on("edge-b")), {
    withinMs: WITHIN_MS,
    what: "a primary on edge-b",
  });
  const tookMs = performance.now() - diedMs;
  assert.equal(next.host, "edge-b");
  assert.ok(tookMs > LEASE_MS / 2, `its lease is waited out: ${tookMs} ms`);
  assert.ok((await keysAt(next.address)).includes("before the end"));
  const { roles: now } = await on("edge-b").status();
  assert.ok(now!.epoch > roles!.epoch);
});

test("it comes back as a host of shadows: its former primary is one now, over its old folder", async () => {
  // Meanwhile there is a shadow beside the new primary, rather than none.
  await settledWith(on("edge-b"), 1);
  await start("edge-a");
  await waitFor(async () => (await shadowOf("edge-b"))?.host === "edge-a", {
    withinMs: WITHIN_MS,
    what: "the shadow to move to the host that has none",
  });
  const primary = await settledWith(on("edge-b"), 1);
  assert.equal(primary.host, "edge-b");
  const shadow = await shadowOf("edge-b");
  await written(primary.address, "after its return");
  const keys = () => keysAt(shadow.address);
  await waitFor(async () => (await keys()).includes("after its return"), {
    withinMs: WITHIN_MS,
    what: "the write there",
  });
  assert.ok((await keys()).includes("before the end"));
});

test("a switchover hands the lead over, and the former primary goes on as a shadow with the same process", async () => {
  const before = await settledWith(on("edge-b"), 1);
  const request = create(SwitchoverRequestSchema, { resource: RESOURCE });
  await on("edge-b").client.switchover(request, { deadlineMs: WITHIN_MS });
  const primary = await settledWith(on("edge-a"), 1);
  assert.equal(primary.host, "edge-a");
  const shadow = await shadowOf("edge-a");
  assert.deepEqual([shadow.host, shadow.pid], ["edge-b", before.pid]);
  await written(primary.address, "at the new primary");
  await assert.rejects(
    on("edge-b").client.switchover(request),
    (error: GrpcError) => error.code === "failed-precondition" && /edge-a leads/.test(error.message),
  );
});
