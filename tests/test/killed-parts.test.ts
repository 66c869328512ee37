/** Each part of Understudy is killed under load and comes back: no client may notice more than a wait. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { waitFor } from "@understudy/testkit/wait";
import { type Broken, describeRecords, underLoad } from "../src/under-load.ts";

const BETWEEN_MS = 4_000;
const BACK_WITHIN_MS = 20_000;
const STORE_AWAY_MS = 60_000;

describe("a part is killed under load and comes back", { concurrency: false }, () => {
  for (const name of ["collector", "predictor", "balancer", "health", "replicator"] as const) {
    test(`${name}`, { timeout: 120_000 }, async () => {
      await breakAndCheck(12_000, async ({ stack }) => {
        const service = stack.cluster.services[name];
        await delay(BETWEEN_MS);
        const starts = service.starts();
        await service.kill();
        await waitFor(async () => service.starts() > starts && (await service.isReady()), {
          withinMs: BACK_WITHIN_MS,
          what: `${name} ready again`,
        });
      });
    });
  }

  for (const name of ["nats", "redis"] as const) {
    test(`${name}`, { timeout: 120_000 }, async () => {
      await breakAndCheck(15_000, async ({ stack }) => {
        await delay(BETWEEN_MS);
        await stack.cluster[name].kill();
        await stack.cluster[name].restart();
      });
    });
  }

  test("Redis is away for a minute", { timeout: 180_000 }, async () => {
    await breakAndCheck(STORE_AWAY_MS + 12_000, async ({ stack, observed }) => {
      await delay(BETWEEN_MS);
      const epoch = observed.roles.at(-1)?.roles.epoch;
      await stack.cluster.redis.kill();
      await delay(STORE_AWAY_MS);
      await stack.cluster.redis.restart();
      assert.equal(observed.roles.at(-1)?.roles.epoch, epoch, "no promotion while the store is away");
    });
  });
});

async function breakAndCheck(lengthMs: number, breaking: (broken: Broken) => Promise<void>): Promise<void> {
  const outcome = await underLoad({ units: 1, lengthMs }, breaking);
  try {
    assert.ok(outcome.load.records.length > 100, "there was load");
    assert.equal(outcome.failed.length, 0, describeRecords(outcome.failed));
    assert.deepEqual(outcome.lost, []);
  } finally {
    await outcome.stack.close();
  }
}
