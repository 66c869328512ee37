/**
 * Primary and shadow in lockstep: after each step of the application, the shadow's whole content is compared with the
 * primary's, so that a loss that a later comparison would heal is seen.
 */

import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { type Random, seededRandom } from "@understudy/testkit/random";
import { followDatabase } from "../follow.ts";
import { openReplica } from "../replicate.ts";
import { Image, toHex } from "./image.ts";
import { setStage } from "./stage.ts";

const STEPS = 30;
const SEEDS = Number(process.env.UNDERSTUDY_TEST_SEEDS ?? 2);

/** What an application and its operators do to a database while it is followed. */
const ACTIONS = {
  "a transaction": 8,
  transactions: 8,
  "many transactions": 3,
  nothing: 1,
  "passive checkpoint": 3,
  "full checkpoint": 1,
  "restart checkpoint": 2,
  "truncate checkpoint": 2,
  "big transaction": 1,
  "drop and create": 1,
  vacuum: 2,
  "clean restart": 2,
  crash: 2,
} as const;

type Action = keyof typeof ACTIONS;

function pickAction(random: Random): Action {
  const weighted = Object.entries(ACTIONS).flatMap(([action, weight]) =>
    Array<Action>(weight).fill(action as Action),
  );
  return random.pick(weighted);
}

async function playSeed(context: TestContext, seed: number): Promise<void> {
  const stage = setStage(context);
  const random = seededRandom(seed);
  const path = stage.path("primary.db");
  const pageSize = random.pick([512, 4096, 65536]);
  let writer = stage.start("writer");
  const reader = stage.start("reader");
  const follower = stage.own(followDatabase(path));
  const replica = stage.own(openReplica(stage.path("shadow.db")));
  const image = new Image();
  const open = () => writer.ask("open", { path, seed: random.integer(0, 1e9), pageSize });
  const sql = (text: string) => writer.ask("exec", { sql: text });

  const perform = async (action: Action): Promise<unknown> => {
    switch (action) {
      case "a transaction":
        return writer.ask("commit", { times: 1 });
      case "transactions":
        return writer.ask("commit", { times: random.integer(2, 20) });
      case "many transactions":
        return writer.ask("commit", { times: 200 });
      case "nothing":
        return;
      case "passive checkpoint":
        return sql("PRAGMA wal_checkpoint(PASSIVE)");
      case "full checkpoint":
        return sql("PRAGMA wal_checkpoint(FULL)");
      case "restart checkpoint":
        return sql("PRAGMA wal_checkpoint(RESTART)");
      case "truncate checkpoint":
        return sql("PRAGMA wal_checkpoint(TRUNCATE)");
      case "big transaction":
        return sql(
          "CREATE TABLE IF NOT EXISTS big AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 5000) SELECT x, hex(randomblob(100)) AS y FROM n",
        );
      case "drop and create":
        return sql("DROP TABLE IF EXISTS big");
      case "vacuum":
        return sql("VACUUM");
      case "clean restart":
        await writer.ask("close");
        return open();
      case "crash":
        await writer.kill();
        writer = stage.start("writer");
        return open();
    }
  };

  await open();
  for (let step = 0; step < STEPS; step += 1) {
    const actions = Array.from({ length: random.integer(1, 4) }, () => pickAction(random));
    for (const action of actions) await perform(action);
    const what = `seed ${seed}, step ${step}: ${actions.join(", ")}`;
    const changes = follower.read();
    if (changes !== undefined) {
      image.apply(changes);
      replica.apply(changes);
    }
    if (step === 0) await reader.ask("open", { path: stage.path("shadow.db") });
    assert.equal(follower.pending(), false, what);
    assert.deepEqual(toHex(replica.pageHashes().hashes), image.hashes(), what);
    assert.equal(await reader.ask("content"), await writer.ask("content"), what);
  }
  const { problems, reads } = await reader.ask<{ problems: string[]; reads: number }>("status");
  assert.deepEqual(problems, []);
  assert.ok(reads > 0);
}

describe("a shadow in lockstep with its primary", { concurrency: 1 }, () => {
  const base = Number(process.env.UNDERSTUDY_TEST_SEED ?? 1);
  for (let seed = base; seed < base + SEEDS; seed += 1) {
    it(`has the primary's whole content after each batch (seed ${seed})`, { timeout: 60_000 }, (context) =>
      playSeed(context, seed),
    );
  }
});
