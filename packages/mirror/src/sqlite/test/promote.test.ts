/** A shadow becomes the primary while its application has it open all the time. */

import assert from "node:assert/strict";
import { it } from "node:test";
import { followDatabase } from "../follow.ts";
import { openReplica } from "../replicate.ts";
import { setStage } from "./stage.ts";

type Status = { serial: number; problems: string[] };

it("an application that has the shadow open writes on with the same connections after the promotion", async (context) => {
  const stage = setStage(context);
  const [primary, shadow] = [stage.path("primary.db"), stage.path("shadow.db")];
  const writer = stage.start("writer");
  await writer.ask("open", { path: primary, seed: 21 });
  const follower = stage.own(followDatabase(primary));
  const replica = stage.own(openReplica(shadow));
  replica.apply(follower.read()!);
  const application = stage.start("reader");
  await application.ask("open", { path: shadow });
  for (let batch = 0; batch < 20; batch += 1) {
    await writer.ask("commit", { times: 5 });
    replica.apply(follower.read()!);
  }
  const serial = await writer.ask<number>("serial");
  await writer.kill();
  const rest = follower.read();
  if (rest !== undefined) replica.apply(rest);
  replica.close();

  assert.equal(await application.ask("write", { times: 1 }), serial + 1);
  // Far beyond the application's own checkpoints, so that it begins the log anew by itself.
  assert.equal(await application.ask("write", { times: 500 }), serial + 501);
  const other = stage.start("reader");
  await other.ask("open", { path: shadow });
  assert.equal(await other.ask("content"), await application.ask("content"));
  assert.deepEqual(await application.ask("exec", { sql: "PRAGMA integrity_check" }), {
    integrity_check: "ok",
  });

  // The new primary is followed in its turn, from what is known of it, by a shadow with an older copy.
  const old = stage.own(openReplica(primary));
  const again = stage.own(followDatabase(shadow, old.pageHashes()));
  const missing = again.read()!;
  assert.ok(missing.pages.length > 0);
  old.apply(missing);
  await application.ask("write", { times: 7 });
  old.apply(again.read()!);
  const rejoined = stage.start("reader");
  await rejoined.ask("open", { path: primary });
  assert.equal(await rejoined.ask("content"), await application.ask("content"));
  for (const reader of [application, other, rejoined]) {
    assert.deepEqual((await reader.ask<Status>("status")).problems, []);
  }
});

it("a replica that nobody else has open leaves one clean file behind", async (context) => {
  const stage = setStage(context);
  const writer = stage.start("writer");
  await writer.ask("open", { path: stage.path("primary.db"), seed: 22 });
  const follower = stage.own(followDatabase(stage.path("primary.db")));
  const replica = stage.own(openReplica(stage.path("shadow.db")));
  replica.apply(follower.read()!);
  await writer.ask("commit", { times: 3 });
  replica.apply(follower.read()!);
  replica.close();
  const next = stage.start("writer");
  await next.ask("open", { path: stage.path("shadow.db"), seed: 23 });
  assert.equal(await next.ask("content"), await writer.ask("content"));
  await next.ask("commit", { times: 3 });
  assert.equal(await next.ask("serial"), (await writer.ask<number>("serial")) + 3);
});
