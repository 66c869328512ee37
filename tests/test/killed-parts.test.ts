/** Each part of Understudy is killed under load and comes back: no client may notice more than a wait, and nobody is promoted for it. */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { isWrite, type RequestRecord } from "@understudy/cli/demo/records";
import { waitFor } from "@understudy/testkit/wait";
import { type Broken, describeRecords, type Outcome, underLoad } from "../src/under-load.ts";

const BETWEEN_MS = 4_000;
const BACK_WITHIN_MS = 20_000;
const STORE_AWAY_MS = 60_000;
/** A write waits for a replicator until it is back, and perhaps as long again until its mirror is. */
const WAIT_PER_REPLICATOR_AWAY = 2;
/** Of the other parts a write needs none; it may only suffer from their start on a busy machine. */
const WAIT_PER_OTHER_AWAY = 1;
const WAIT_PER_STORE_AWAY = 0.1;

/** From the kill until it answers again, on the wall clock. */
type Away = { readonly fromMs: number; readonly untilMs: number };

describe("a part is killed under load and comes back", { concurrency: false }, () => {
  for (const name of ["collector", "predictor", "balancer", "health", "replicator"] as const) {
    test(`${name}`, { timeout: 120_000 }, async () => {
      const waitPerAway = name === "replicator" ? WAIT_PER_REPLICATOR_AWAY : WAIT_PER_OTHER_AWAY;
      await breakAndCheck({ lengthMs: 12_000, waitPerAway }, async ({ stack }) => {
        const service = stack.cluster.services[name];
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
      await breakAndCheck({ lengthMs: 15_000, waitPerAway: WAIT_PER_OTHER_AWAY }, async ({ stack }) => {
        await stack.cluster[name].kill();
        await stack.cluster[name].restart();
      });
    });
  }

  test("Redis is away for a minute", { timeout: 180_000 }, async () => {
    const lengthMs = STORE_AWAY_MS + 12_000;
    await breakAndCheck({ lengthMs, waitPerAway: WAIT_PER_STORE_AWAY }, async ({ stack }) => {
      await stack.cluster.redis.kill();
      await delay(STORE_AWAY_MS);
      await stack.cluster.redis.restart();
    });
  });
});

async function breakAndCheck(
  { lengthMs, waitPerAway }: { lengthMs: number; waitPerAway: number },
  breakOnce: (broken: Broken) => Promise<void>,
): Promise<void> {
  let away: Away = { fromMs: 0, untilMs: 0 };
  const outcome = await underLoad({ units: 1, lengthMs }, async (broken) => {
    await delay(BETWEEN_MS);
    const fromMs = Date.now();
    await breakOnce(broken);
    away = { fromMs, untilMs: Date.now() };
  });
  try {
    assert.ok(outcome.load.records.length > 100, "there was load");
    assert.equal(outcome.failed.length, 0, describeRecords(outcome.failed));
    assert.deepEqual(outcome.lost, []);
    assertNobodyPromoted(outcome);
    assertWritesWaited(outcome, { away, waitPerAway });
  } finally {
    await outcome.stack.close();
  }
}

function assertNobodyPromoted({ observed }: Outcome): void {
  // Epoch 0: nobody was primary yet.
  const epochs = observed.roles.map(({ roles }) => roles.epoch).filter((epoch) => epoch > 0);
  assert.deepEqual([...new Set(epochs)], [1], "nobody was promoted");
}

/** No longer than the part was away, over what requests took anyhow: writes before it, and reads, which need no part of ours. */
function assertWritesWaited(
  { load }: Outcome,
  { away, waitPerAway }: { away: Away; waitPerAway: number },
): void {
  const endedMs = ({ atMs, latencyMs }: RequestRecord) => load.startedAtMs + atMs + latencyMs;
  const usual = load.records.filter((record) => !isWrite(record.kind) || endedMs(record) < away.fromMs);
  const usualMs = Math.max(...usual.map(({ latencyMs }) => latencyMs));
  const awayMs = away.untilMs - away.fromMs;
  const mayTakeMs = usualMs + waitPerAway * awayMs;
  const writes = load.records.filter((record) => isWrite(record.kind) && endedMs(record) >= away.fromMs);
  assert.ok(writes.length > 0, "there were writes");
  const worstMs = Math.max(...writes.map(({ latencyMs }) => latencyMs));
  console.log(JSON.stringify({ awayMs, usualMs: Math.round(usualMs), worstWriteMs: Math.round(worstMs) }));
  const late = writes.filter(({ latencyMs }) => latencyMs > mayTakeMs);
  assert.equal(late.length, 0, `away for ${awayMs} ms, usual ${usualMs} ms: ${describeRecords(late)}`);
}
