/** A primary under load, its shadow, and readers that have the shadow open: the mirror as it runs in production. */

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@understudy/testkit/random";
import { followDatabase } from "../follow.ts";
import type { DatabaseFollower } from "../follower.ts";
import type { DatabaseReplica } from "../replica.ts";
import { openReplica } from "../replicate.ts";
import type { Process } from "./processes.ts";
import { setStage } from "./stage.ts";

const RUN_MS = Number(process.env.UNDERSTUDY_TEST_LIVE_MS ?? 4000);
const POLL_MS = 1;
const PER_SECOND = 100;
/** Between two disturbances of the primary. */
const QUIET_MS = 400;

type Status = { reads: number; serial: number; problems: string[]; lagsMs: number[] };

async function mirrorFor(
  durationMs: number,
  follower: DatabaseFollower,
  replica: DatabaseReplica,
): Promise<void> {
  const untilMs = performance.now() + durationMs;
  while (performance.now() < untilMs) {
    if (follower.pending()) {
      const changes = follower.read();
      if (changes !== undefined) replica.apply(changes);
    }
    await sleep(POLL_MS);
  }
}

function quantile(values: readonly number[], part: number): number {
  return (
    [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))] ??
    Number.NaN
  );
}

async function disturb(writer: Process, untilMs: number): Promise<void> {
  const random = seededRandom(7);
  const statements = ["PASSIVE", "RESTART", "TRUNCATE"].map((mode) => `PRAGMA wal_checkpoint(${mode})`);
  while (performance.now() + QUIET_MS < untilMs) {
    await sleep(QUIET_MS);
    await writer.ask("exec", { sql: random.pick([...statements, "VACUUM"]) });
  }
}

describe("a shadow of a primary under load", { concurrency: 1 }, () => {
  it("shows whole transactions in order, soon after their commit, and ends up equal", async (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const writer = stage.start("writer");
    const readers = [stage.start("reader"), stage.start("reader")];
    await writer.ask("open", { path, seed: 3 });
    const follower = stage.own(followDatabase(path));
    const replica = stage.own(openReplica(stage.path("shadow.db")));
    replica.apply(follower.read()!);
    for (const reader of readers) await reader.ask("open", { path: stage.path("shadow.db"), everyMs: 1 });

    await writer.ask("run", { perSecond: PER_SECOND });
    await mirrorFor(RUN_MS / 2, follower, replica);

    const quiet = await Promise.all(readers.map((reader) => reader.ask<Status>("status")));
    const disturbing = disturb(writer, performance.now() + RUN_MS / 2);
    await mirrorFor(RUN_MS / 2, follower, replica);
    await disturbing;
    await writer.ask("halt");
    const rest = follower.read();
    if (rest !== undefined) replica.apply(rest);

    const lagsMs = quiet.flatMap((status) => status.lagsMs);
    context.diagnostic(
      `commit to visible at ${PER_SECOND} tx/s: p50 ${quantile(lagsMs, 0.5).toFixed(1)} ms, ` +
        `p99 ${quantile(lagsMs, 0.99).toFixed(1)} ms, ${lagsMs.length} commits seen`,
    );
    const content = await writer.ask("content");
    for (const reader of readers) {
      const { problems, reads } = await reader.ask<Status>("status");
      assert.deepEqual(problems, []);
      assert.ok(reads > 10);
      assert.equal(await reader.ask("content"), content);
    }
  });

  it("reads on across the writer's own generations of the log without comparing the whole database", async (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const writer = stage.start("writer");
    await writer.ask("open", { path, seed: 4 });
    const follower = stage.own(followDatabase(path));
    const replica = stage.own(openReplica(stage.path("shadow.db")));
    const reader = stage.start("reader");
    replica.apply(follower.read()!);
    await reader.ask("open", { path: stage.path("shadow.db") });
    await writer.ask("exec", { sql: "PRAGMA wal_autocheckpoint=60" });
    for (let batch = 0; batch < 150; batch += 1) {
      await writer.ask("commit", { times: 1 });
      const changes = follower.read();
      assert.ok(changes !== undefined);
      replica.apply(changes);
    }
    assert.equal(follower.comparisons(), 1);
    assert.equal(await reader.ask("content"), await writer.ask("content"));
  });

  it("keeps the shadow's log bounded under readers that come and go", async (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const shadow = stage.path("shadow.db");
    const writer = stage.start("writer");
    const reader = stage.start("reader");
    await writer.ask("open", { path, seed: 5, pageSize: 512 });
    const follower = stage.own(followDatabase(path));
    const replica = stage.own(openReplica(shadow));
    replica.apply(follower.read()!);
    await reader.ask("open", { path: shadow });
    let frames = 0;
    let highestBytes = 0;
    // Every page a second time: as many frames as several generations of the log may hold.
    while (frames < 40_000) {
      await writer.ask("commit", { times: 10 });
      const changes = follower.read()!;
      const again = follower.images(Array.from({ length: changes.pageCount }, (_, index) => index + 1))!;
      replica.apply(again);
      frames += again.pages.length;
      highestBytes = Math.max(highestBytes, statSync(`${shadow}-wal`).size);
    }
    const frameBytes = 512 + 24;
    assert.ok(highestBytes < 20_000 * frameBytes, `${Math.round(highestBytes / frameBytes)} frames`);
    assert.deepEqual((await reader.ask<Status>("status")).problems, []);
    assert.equal(await reader.ask("content"), await writer.ask("content"));
  });
});
