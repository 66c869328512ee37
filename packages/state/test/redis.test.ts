/**
 * The store over a real redis-server, in a container where an engine is there: the contract, and what only a server can do:
 * stop, hang, forget.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { storeContract } from "@understudy/state/contract";
import { openRedisStore } from "@understudy/state/redis";
import type { Store } from "@understudy/state/store";
import { type RedisServer, startRedis } from "@understudy/testkit/servers/redis";
import { waitFor } from "@understudy/testkit/wait";
import { Redis } from "ioredis";

const READY_WITHIN_MS = 5000;
/** A call on a server that is away must give up within this: the command time-out and some slack for a busy machine. */
const GIVE_UP_WITHIN_MS = 1500;

let server: RedisServer;
before(async () => {
  server = await startRedis({ name: "redis-state", prefer: "container" });
  await flush();
});
after(() => server.stop());

async function connected(): Promise<Store> {
  const store = openRedisStore({ url: server.url, password: readFileSync(server.passwordFile, "utf8") });
  await waitFor(() => store.read("ready").then(() => true), { withinMs: READY_WITHIN_MS, what: "redis" });
  return store;
}

/** The server that the environment names may hold an earlier run's resources. */
async function flush(): Promise<void> {
  const admin = new Redis(server.url, { password: readFileSync(server.passwordFile, "utf8") });
  await admin.flushall();
  await admin.quit();
}

storeContract(connected);

test("a server that keeps what it acknowledges is accepted, another is refused with what to change", async () => {
  const store = await connected();
  const admin = new Redis(server.url, { password: readFileSync(server.passwordFile, "utf8") });
  try {
    await store.checkDurability();
    await admin.config("SET", "appendfsync", "everysec");
    await assert.rejects(store.checkDurability(), {
      code: "unsafe",
      message: /appendfsync is everysec, set it to always/,
    });
  } finally {
    await admin.config("SET", "appendfsync", "always");
    await admin.quit();
    await store.close();
  }
});

test("a wrong password is refused at the first call", async () => {
  const store = openRedisStore({ url: server.url, password: "not-it" });
  await assert.rejects(
    waitFor(() => store.read("app"), { withinMs: 300 }),
    (error: Error) => {
      return /redis 127.0.0.1:\d+: read app/.test((error.cause as Error).message);
    },
  );
  await store.close();
});

test("while the server hangs a call gives up soon, and the next ones work when it goes on", async () => {
  const store = await connected();
  server.signal("SIGSTOP");
  const startedMs = performance.now();
  try {
    await assert.rejects(store.read("app"), { name: "StoreError", code: "timeout" });
    assert.ok(performance.now() - startedMs < GIVE_UP_WITHIN_MS);
  } finally {
    server.signal("SIGCONT");
  }
  await waitFor(() => store.read("app").then(() => true), { withinMs: READY_WITHIN_MS });
  await store.close();
});

test("a server that was killed is found again with everything it had acknowledged", async () => {
  const store = await connected();
  const resource = "survivor";
  await store.claim({ resource, epoch: 1, coordinator: "host-a", ttlMs: 60_000 });
  const primary = { instance: "app-1", incarnation: "i1" };
  await store.commit({
    resource,
    epoch: 1,
    coordinator: "host-a",
    primary,
    holder: "host-a",
    leaseMs: 3000,
    inSync: [],
  });
  await server.kill();
  const startedMs = performance.now();
  await assert.rejects(store.read(resource), { name: "StoreError" });
  assert.ok(performance.now() - startedMs < GIVE_UP_WITHIN_MS);
  await server.restart();
  const found = await waitFor(() => store.read(resource), { withinMs: READY_WITHIN_MS });
  assert.equal(found.epoch, 1);
  assert.deepEqual(found.primary, primary);
  await store.close();
});

test("a closed store refuses calls", async () => {
  const store = await connected();
  await store.close();
  await assert.rejects(store.read("app"), { name: "StoreError", code: "closed" });
});
