/**
 * A real Redis that forgets: flushed, or started again from an older file. Nobody is promoted, the status says so, and the remedy
 * that it names brings everything back.
 */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { create } from "@bufbuild/protobuf";
import { memoryBus } from "@understudy/bus/memory";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import { writeContext } from "@understudy/testkit/context";
import { REPOSITORY } from "@understudy/testkit/run-folder";
import { type RedisServer, startRedis } from "@understudy/testkit/servers/redis";
import { waitFor } from "@understudy/testkit/wait";
import { RecreateRequestSchema } from "@understudy/wire/gen/control";
import { end, endInstances, keysAt, post, settledWith, WITHIN_MS } from "./catalog-calls.ts";
import {
  type Place,
  preparePlace,
  RESOURCE,
  type Started,
  startReplicator,
  yamlOf,
} from "./start-replicator.ts";

const LEASE_MS = 2000;
/** Many times what a failover takes, and the whole lease of a holder that is waited out. */
const NO_PROMOTION_WITHIN_MS = 1.5 * LEASE_MS;

const folder = mkdtempSync(join(tmpdir(), "understudy-state-lost-"));
const contextFile = join(folder, "context.json");
const keys: string[] = [];
let redis: RedisServer;
let place: Place;
let started: Started;

before(async () => {
  redis = await startRedis({ name: "redis-state-lost" });
  place = await preparePlace({ folder, redis, bus: memoryBus() });
  const about = {
    yaml: yamlOf(place, { leaseMs: LEASE_MS }),
    file: "test",
    source: "test",
    nowMs: Date.now(),
  };
  assert.ok((await applyConfiguration(place.bus, about)).applied);
  started = await startReplicator(place);
  writeContext(contextFile, {
    version: 1,
    nats: { url: "nats://127.0.0.1:1", user: "", passwordFile: "" },
    redis: { url: redis.url, passwordFile: redis.passwordFile },
    tlsDir: join(folder, "tls", "cli"),
    grpc: {
      replicator: `127.0.0.1:${place.grpcPort}`,
      health: "127.0.0.1:1",
      balancer: "127.0.0.1:1",
    },
    probes: {},
  });
});

after(async () => {
  await endInstances(started);
  await started.stop();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a flushed store is noticed: the primary writes on, nobody is promoted, the remedy brings all back", async () => {
  const old = await settledWith(started, 1);
  const before = (await started.status()).roles!.epoch;
  await order(old.address);
  await flushAll(redis);
  const status = await stateLost(/epoch 0, this disk has seen epoch/);
  await order(old.address);
  end(old.pid);
  await nobodyIsPromoted();
  await performRemedy(status);
  await backWithEverything(before);
});

test("a store restored from an older file is noticed under the same epoch, also by the next replicator", async () => {
  const old = await settledWith(started, 1);
  const { epoch } = (await started.status()).roles!;
  const older = await backUp(redis);
  // A shadow that is made again leaves the in-sync set and joins it anew: two changes that the older file lacks.
  const shadow = (await started.status()).roles!.instances.find(({ name }) => name !== old.name)!;
  await started.client.recreate(create(RecreateRequestSchema, { resource: RESOURCE, instance: shadow.name }));
  await waitFor(
    async () => {
      const { states } = await started.status();
      return states.some(
        (each) => each.instance === shadow.name && each.incarnation !== shadow.incarnation && each.inSync,
      );
    },
    { withinMs: WITHIN_MS, what: "a shadow made again" },
  );
  await settledWith(started, 1);
  await order(old.address);
  await restore(redis, older);
  await stateLost(/revision \d+ of the in-sync set, this disk has seen revision \d+/);
  assert.equal((await started.status()).roles!.epoch, epoch);
  end(old.pid);
  await nobodyIsPromoted();
  await started.stop();
  started = await startReplicator(place);
  const status = await stateLost(/revision \d+ of the in-sync set/);
  await nobodyIsPromoted();
  await performRemedy(status);
  await backWithEverything(epoch);
});

async function order(address: string): Promise<void> {
  const key = `order-${keys.length}`;
  assert.equal(await post(address, "/orders", key), 201);
  keys.push(key);
}

/** Resolves with what the status says. */
function stateLost(what: RegExp): Promise<string> {
  return waitFor(
    async () => {
      const { lease } = await started.status();
      return lease.startsWith("state lost: ") && what.test(lease) && lease;
    },
    { withinMs: WITHIN_MS, what: "state lost" },
  );
}

async function nobodyIsPromoted(): Promise<void> {
  await waitFor(async () => (await started.status()).roles?.primary === "", {
    withinMs: WITHIN_MS,
    what: "the loss of the primary",
  });
  const fromMs = performance.now();
  while (performance.now() - fromMs < NO_PROMOTION_WITHIN_MS) {
    const { roles, lease } = await started.status();
    assert.equal(roles?.primary, "", "somebody was promoted");
    assert.match(lease, /^state lost: /);
  }
}

/** The command as the status names it, by the command line itself. */
async function performRemedy(status: string): Promise<void> {
  const [, command] = /Remedy: understudy (.*)$/.exec(status) ?? assert.fail(status);
  const main = join(REPOSITORY, "cli/src/main.ts");
  const args = [main, ...command!.split(" "), "--context", contextFile];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  assert.match(stdout, /promotion may go on/);
}

async function backWithEverything(epochBefore: bigint): Promise<void> {
  const { address } = await settledWith(started, 1);
  assert.ok((await started.status()).roles!.epoch > epochBefore + 1n, "above what was reached");
  await order(address);
  const found = await keysAt(address);
  assert.deepEqual(
    keys.filter((key) => !found.includes(key)),
    [],
  );
}

const FILES = "appendonlydir";

/** A copy of everything that the server has on disk now. */
async function backUp(server: RedisServer): Promise<string> {
  const copy = join(folder, "older");
  await server.stop();
  cpSync(join(dirname(server.passwordFile), FILES), copy, { recursive: true });
  await server.restart();
  return copy;
}

async function restore(server: RedisServer, copy: string): Promise<void> {
  const files = join(dirname(server.passwordFile), FILES);
  await server.stop();
  rmSync(files, { recursive: true });
  cpSync(copy, files, { recursive: true });
  await server.restart();
}

function flushAll(server: RedisServer): Promise<void> {
  const password = readFileSync(server.passwordFile, "utf8");
  const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
  return new Promise((resolve, reject) => {
    let answer = "";
    socket.on("error", reject);
    socket.on("data", (bytes) => {
      answer += bytes.toString("latin1");
      if (answer !== "+OK\r\n+OK\r\n") return;
      socket.destroy();
      resolve();
    });
    socket.write(`AUTH ${password}\r\nFLUSHALL\r\n`);
  });
}
