/** Appending stops after every single write in turn, as a kill would stop it. */

import assert from "node:assert/strict";
import { copyFileSync, writeSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { it } from "node:test";
import { appendWrites } from "../append.ts";
import { closeFiles, openFiles } from "../files.ts";
import { followDatabase } from "../follow.ts";
import type { PageChanges } from "../pages.ts";
import { openReplica } from "../replicate.ts";
import { contentHash } from "./bank.ts";
import { setStage } from "./stage.ts";

/** Does the first `count` writes under SQLite's write lock, and nothing more; returns whether those were all. */
function appendPartly(path: string, changes: PageChanges, count: number): boolean {
  const connection = new DatabaseSync(path);
  connection.exec("PRAGMA wal_autocheckpoint=0; BEGIN IMMEDIATE");
  const files = openFiles(path, "r+");
  let done = 0;
  let complete = true;
  for (const { to, offset, bytes } of appendWrites(files, changes)) {
    if (done === count) {
      complete = false;
      break;
    }
    writeSync(files[to], bytes, 0, bytes.length, offset);
    done += 1;
  }
  connection.exec("COMMIT");
  connection.close();
  closeFiles(files);
  return complete;
}

/** What the application finds that starts after everything died: SQLite rebuilds the index from the log. */
function contentAfterRecovery(path: string, copy: string): string {
  for (const suffix of ["", "-wal"]) copyFileSync(path + suffix, copy + suffix);
  const database = new DatabaseSync(copy);
  const content = contentHash(database);
  database.close();
  return content;
}

it("stopped after any write, readers see the version before, recovery finds one or the other, and the next append succeeds", async (context) => {
  const stage = setStage(context);
  const path = stage.path("primary.db");
  const shadow = stage.path("shadow.db");
  const writer = stage.start("writer");
  const reader = stage.start("reader");
  await writer.ask("open", { path, seed: 31 });
  const follower = stage.own(followDatabase(path));
  const first = openReplica(shadow);
  first.apply(follower.read()!);
  first.close();
  await reader.ask("open", { path: shadow });

  let before = await writer.ask("content");
  let complete = false;
  let stops = 0;
  await writer.ask("commit", { times: 3 });
  const changes = follower.read()!;
  const after = await writer.ask("content");
  for (; !complete; stops += 1) {
    complete = appendPartly(shadow, changes, stops);
    assert.equal(await reader.ask("content"), complete ? after : before, `after ${stops} writes`);
    const recovered = contentAfterRecovery(shadow, stage.path(`recovered-${stops}.db`));
    assert.ok(recovered === after || (!complete && recovered === before), `recovery after ${stops} writes`);
  }
  assert.ok(stops > changes.pages.length, "every slot of the index is a write of its own");

  // A shorter transaction over the remnants of a longer one that never was.
  before = after;
  await writer.ask("commit", { times: 40 });
  const long = follower.read()!;
  appendPartly(shadow, long, 6);
  assert.equal(await reader.ask("content"), before);
  const replica = stage.own(openReplica(shadow));
  replica.apply({ ...long, pages: long.pages });
  assert.equal(await reader.ask("content"), await writer.ask("content"));
  assert.deepEqual((await reader.ask<{ problems: string[] }>("status")).problems, []);
});
