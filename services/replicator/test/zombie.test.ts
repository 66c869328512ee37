/**
 * A primary that is frozen, promoted over and wakes: whatever it was in the middle of, and whatever is sent to it then, it must
 * not accept a write. The test writes to the instance itself, where no load balancer helps.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { memoryBus } from "@understudy/bus/memory";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import { type RedisServer, startRedis } from "@understudy/testkit/servers/redis";
import { waitFor } from "@understudy/testkit/wait";
import { PromoteRequestSchema, SwitchoverRequestSchema } from "@understudy/wire/gen/control";
import { endInstances, keysAt, post, settledWith, WITHIN_MS } from "./catalog-calls.ts";
import { preparePlace, RESOURCE, type Started, startReplicator, yamlOf } from "./start-replicator.ts";

const WRITERS = 8;
const ACCEPTED = 201;
const NOT_EXECUTED = 425;
/** Long enough that nothing here is refused only because time went by. */
const LEASE_MS = 60_000;

type Write = {
  readonly key: string;
  readonly critical: boolean;
  readonly sentMs: number;
  readonly answeredMs: number;
  /** 0: no answer. */
  readonly status: number;
};

const folder = mkdtempSync(join(tmpdir(), "understudy-zombie-"));
let redis: RedisServer;
let started: Started;
let count = 0;

before(async () => {
  redis = await startRedis({ name: "redis-zombie" });
  const place = await preparePlace({ folder, redis, bus: memoryBus() });
  const about = {
    yaml: yamlOf(place, { leaseMs: LEASE_MS }),
    file: "test",
    source: "test",
    nowMs: Date.now(),
  };
  assert.ok((await applyConfiguration(place.bus, about)).applied);
  started = await startReplicator(place);
});

after(async () => {
  await endInstances(started);
  await started.stop();
  await redis.stop();
  rmSync(folder, { recursive: true, force: true });
});

test("a zombie of a planned change wakes among the living and accepts nothing", async () => {
  const old = await settledWith(started, 1);
  const writers = startWriters(old.address);
  await writers.accepted(WRITERS);
  process.kill(old.pid, "SIGSTOP");
  const frozenMs = performance.now();
  const whileFrozen = Array.from({ length: WRITERS }, () => write(old.address));
  const { primary } = await started.client.switchover(
    create(SwitchoverRequestSchema, { resource: RESOURCE }),
  );
  assert.notEqual(primary, old.name);
  process.kill(old.pid, "SIGCONT");
  const wokeMs = performance.now();
  const woken = await Promise.all(whileFrozen);
  await writers.answered(2 * WRITERS);
  const all = await writers.stop();
  assert.deepEqual(
    woken.map(({ status }) => status),
    woken.map(() => NOT_EXECUTED),
  );
  const next = await settledWith(started, 1);
  await assertNoneAccepted(all, { frozenMs, wokeMs, keys: await keysAt(next.address) });
  assert.equal((await write(old.address)).status, NOT_EXECUTED);
  assert.equal((await write(next.address)).status, ACCEPTED);
});

test("a frozen primary that is promoted over by force is dead before the epoch rises", async () => {
  const old = await settledWith(started, 1);
  const writers = startWriters(old.address);
  await writers.accepted(WRITERS);
  process.kill(old.pid, "SIGSTOP");
  const frozenMs = performance.now();
  const whileFrozen = Array.from({ length: WRITERS }, () => write(old.address));
  const request = { resource: RESOURCE, instance: "", reason: "it does not move" };
  const { primary } = await started.client.promote(create(PromoteRequestSchema, request));
  assert.notEqual(primary, old.name);
  assert.throws(() => process.kill(old.pid, "SIGCONT"), { code: "ESRCH" });
  const wokeMs = performance.now();
  const statuses = (await Promise.all(whileFrozen)).map(({ status }) => status);
  assert.ok(!statuses.includes(ACCEPTED), statuses.join(", "));
  const all = await writers.stop();
  const next = await settledWith(started, 1);
  await assertNoneAccepted(all, { frozenMs, wokeMs, keys: await keysAt(next.address) });
});

/**
 * What was on its way when the old primary froze may have been executed and confirmed before; nothing else may be accepted, and
 * what is critical must then be there.
 */
async function assertNoneAccepted(
  writes: readonly Write[],
  { frozenMs, wokeMs, keys }: { frozenMs: number; wokeMs: number; keys: readonly string[] },
): Promise<void> {
  const accepted = writes.filter(({ status }) => status === ACCEPTED);
  const stale = accepted.filter(({ sentMs, answeredMs }) => answeredMs >= wokeMs && sentMs >= frozenMs);
  assert.deepEqual(stale, [], "accepted after the epoch rose");
  const lost = accepted.filter(({ critical, key }) => critical && !keys.includes(key));
  assert.deepEqual(lost, [], "acknowledged and not at the new primary");
}

/** Every second write is critical. */
async function write(address: string): Promise<Write> {
  count += 1;
  const [key, critical] = [`write-${count}`, count % 2 === 0];
  const sentMs = performance.now();
  const status = await post(address, critical ? "/orders" : "/views", key).catch(() => 0);
  return { key, critical, sentMs, answeredMs: performance.now(), status };
}

/** So many writers, each with one write after the other on its way. */
function startWriters(address: string) {
  const done: Write[] = [];
  const stop = new AbortController();
  const running = Array.from({ length: WRITERS }, async () => {
    while (!stop.signal.aborted) done.push(await write(address));
  });
  const until = (what: string, isDone: () => boolean) => waitFor(isDone, { withinMs: WITHIN_MS, what });
  return {
    accepted: (wanted: number) =>
      until("accepted writes", () => done.filter(({ status }) => status === ACCEPTED).length >= wanted),
    /** From now on. */
    answered: (wanted: number) => {
      const had = done.length;
      return until("answers", () => done.length >= had + wanted);
    },
    stop: async () => {
      stop.abort();
      await Promise.all(running);
      return done;
    },
  };
}
