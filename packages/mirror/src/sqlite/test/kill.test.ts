/** The process that applies is killed at any moment; what it was told last is applied again, as its journal would do. */

import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@understudy/testkit/random";
import { followDatabase } from "../follow.ts";
import type { PageChanges } from "../pages.ts";
import { Image, toHex } from "./image.ts";
import { setStage } from "./stage.ts";

const KILLS = Number(process.env.UNDERSTUDY_TEST_KILLS ?? 24);
/** About as long as an apply takes, so that most kills hit one. */
const KILL_WITHIN_MS = 4;

it(`a replica killed ${KILLS} times is at one version or the next, and goes on`, async (context) => {
  const stage = setStage(context);
  const random = seededRandom(11);
  const path = stage.path("primary.db");
  const shadow = stage.path("shadow.db");
  const writer = stage.start("writer");
  const readers = [stage.start("reader"), stage.start("reader")];
  await writer.ask("open", { path, seed: 12 });
  const follower = stage.own(followDatabase(path));
  const image = new Image();
  let applier = stage.start("applier");
  await applier.ask("open", { path: shadow });

  const next = async (
    times: number,
  ): Promise<{ changes: PageChanges; before: string[]; content: unknown }> => {
    const before = image.hashes();
    await writer.ask("commit", { times });
    const changes = follower.read()!;
    image.apply(changes);
    return { changes, before, content: await writer.ask("content") };
  };
  const first = await next(1);
  await applier.ask("apply", { changes: first.changes });
  for (const reader of readers) await reader.ask("open", { path: shadow });

  let halfway = 0;
  for (let kill = 0; kill < KILLS; kill += 1) {
    const successor = stage.start("applier");
    const { changes, before, content } = await next(random.pick([1, 3, 50]));
    const applied = applier.ask("apply", { changes }).then(
      () => true,
      () => false,
    );
    await sleep(random.next() * KILL_WITHIN_MS);
    await applier.kill();
    const finished = await applied;
    if (!finished) halfway += 1;
    applier = successor;
    await applier.ask("open", { path: shadow });
    const found = toHex(await applier.ask("hashes"));
    const isBefore = JSON.stringify(found) === JSON.stringify(before);
    const isAfter = JSON.stringify(found) === JSON.stringify(image.hashes());
    assert.ok(
      finished ? isAfter : isBefore || isAfter,
      `kill ${kill}: neither the version before nor the one after`,
    );
    await applier.ask("apply", { changes });
    assert.deepEqual(toHex(await applier.ask("hashes")), image.hashes());
    assert.equal(await readers[kill % 2]!.ask("content"), content);
  }
  context.diagnostic(`${halfway} of ${KILLS} kills came before the answer`);
  for (const reader of readers) {
    assert.deepEqual((await reader.ask<{ problems: string[] }>("status")).problems, []);
  }
});
