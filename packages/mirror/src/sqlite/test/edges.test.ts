/** Databases that are not there, not in WAL mode, closed, replaced or of another shape. */

import assert from "node:assert/strict";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { followDatabase } from "../follow.ts";
import type { PageChanges } from "../pages.ts";
import { openReplica } from "../replicate.ts";
import { contentHash } from "./bank.ts";
import { Image, toHex } from "./image.ts";
import { setStage } from "./stage.ts";

function contentOf(path: string): string {
  const database = new DatabaseSync(path);
  const content = contentHash(database);
  database.close();
  return content;
}

describe("a follower", () => {
  it("waits for a database that does not exist yet", async (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const follower = stage.own(followDatabase(path));
    assert.equal(follower.pending(), false);
    assert.equal(follower.read(), undefined);
    const writer = stage.start("writer");
    await writer.ask("open", { path, seed: 1 });
    assert.equal(follower.pending(), true);
    assert.equal(follower.read()!.pages[0]!.number, 1);
    assert.equal(follower.pending(), false);
  });

  it("refuses a file in rollback mode or of another kind, once until it changes", (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const database = new DatabaseSync(path);
    database.exec("CREATE TABLE t (x)");
    database.close();
    const follower = stage.own(followDatabase(path));
    assert.throws(() => follower.read(), {
      name: "DatabaseError",
      code: "not-wal",
      message: /journal_mode=WAL/,
    });
    assert.equal(follower.pending(), false);
    writeFileSync(path, "something else altogether");
    assert.equal(follower.pending(), true);
    assert.throws(() => follower.read(), { code: "not-wal" });
  });

  it("finds what was committed before a clean close that removed the log", async (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const writer = stage.start("writer");
    await writer.ask("open", { path, seed: 1 });
    const follower = stage.own(followDatabase(path));
    const image = new Image();
    image.apply(follower.read()!);
    await writer.ask("commit", { times: 3 });
    const content = await writer.ask("content");
    await writer.ask("close");
    assert.equal(existsSync(`${path}-wal`), false);
    assert.equal(follower.pending(), true);
    image.apply(follower.read()!);
    writeFileSync(stage.path("copy.db"), Buffer.concat(image.pages));
    assert.equal(contentOf(stage.path("copy.db")), content);
    assert.equal(follower.pending(), false);
  });

  it("follows a database that was deleted and made anew, with another page size", async (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const writer = stage.start("writer");
    await writer.ask("open", { path, seed: 1 });
    const follower = stage.own(followDatabase(path));
    const replica = stage.own(openReplica(stage.path("shadow.db")));
    replica.apply(follower.read()!);
    await writer.ask("commit", { times: 30 });
    replica.apply(follower.read()!);
    await writer.kill();
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix);
    assert.equal(follower.pending(), false);
    assert.equal(follower.read(), undefined);
    const next = stage.start("writer");
    await next.ask("open", { path, seed: 2, pageSize: 1024 });
    const changes = follower.read()!;
    assert.equal(changes.pageSize, 1024);
    replica.apply(changes);
    await next.ask("commit", { times: 2 });
    replica.apply(follower.read()!);
    const content = await next.ask("content");
    replica.close();
    assert.equal(contentOf(stage.path("shadow.db")), content);
  });

  it("returns only what differs from what is known already, and nothing when nothing does", async (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const writer = stage.start("writer");
    await writer.ask("open", { path, seed: 1 });
    await writer.ask("commit", { times: 300 });
    const first = stage.own(followDatabase(path));
    const replica = stage.own(openReplica(stage.path("shadow.db")));
    replica.apply(first.read()!);
    const same = stage.own(followDatabase(path, replica.pageHashes()));
    assert.equal(same.read(), undefined);
    await writer.ask("commit", { times: 1 });
    const differing = stage.own(followDatabase(path, replica.pageHashes())).read()!;
    assert.ok(differing.pages.length < differing.pageCount / 2);
    replica.apply(differing);
    assert.equal(same.read()?.pages.length, differing.pages.length);
  });

  it("gives images as of the last read, and none of a page that is newer by now", async (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const writer = stage.start("writer");
    await writer.ask("open", { path, seed: 1 });
    const follower = stage.own(followDatabase(path));
    const image = new Image();
    const all = () => Array.from({ length: image.pages.length }, (_, index) => index + 1);
    image.apply(follower.read()!);
    await writer.ask("commit", { times: 20 });
    const newest = follower.read()!;
    image.apply(newest);
    assert.deepEqual(
      follower.images(all())!.pages.map((page) => page.data),
      image.pages,
    );
    // In the log, newer commits leave the older frames where they are; a checkpoint and a new log do not.
    await writer.ask("exec", { sql: "PRAGMA wal_checkpoint(TRUNCATE)" });
    assert.deepEqual(
      follower.images(all())!.pages.map((page) => page.data),
      image.pages,
    );
    await writer.ask("commit", { times: 1 });
    await writer.ask("exec", { sql: "PRAGMA wal_checkpoint(TRUNCATE)" });
    assert.equal(follower.images(all()), undefined);
    image.apply(follower.read()!);
    assert.deepEqual(
      follower.images(all())!.pages.map((page) => page.data),
      image.pages,
    );
  });

  it("leaves the writer alone: no lock is held between reads", async (context) => {
    const stage = setStage(context);
    const path = stage.path("primary.db");
    const writer = stage.start("writer");
    await writer.ask("open", { path, seed: 1 });
    const follower = stage.own(followDatabase(path));
    follower.read();
    await writer.ask("commit", { times: 5 });
    follower.read();
    // A checkpoint that empties the log needs every reader out of it.
    const result = await writer.ask("exec", { sql: "PRAGMA wal_checkpoint(TRUNCATE)" });
    assert.deepEqual({ ...(result as object) }, { busy: 0, log: 0, checkpointed: 0 });
  });
});

describe("a replica", () => {
  const seeded = async (stage: ReturnType<typeof setStage>) => {
    const path = stage.path("primary.db");
    const writer = stage.start("writer");
    await writer.ask("open", { path, seed: 1 });
    const follower = stage.own(followDatabase(path));
    const changes = follower.read()!;
    return { writer, follower, changes };
  };

  it("has no hashes before the first copy, and those of the primary's pages after it", async (context) => {
    const stage = setStage(context);
    const { changes } = await seeded(stage);
    const replica = stage.own(openReplica(stage.path("shadow.db")));
    assert.deepEqual(replica.pageHashes(), { pageSize: 0, hashes: [] });
    replica.apply(changes);
    const image = new Image();
    image.apply(changes);
    assert.deepEqual(toHex(replica.pageHashes().hashes), image.hashes());
  });

  it("refuses changes with holes and stays as it was", async (context) => {
    const stage = setStage(context);
    const { changes } = await seeded(stage);
    const replica = stage.own(openReplica(stage.path("shadow.db")));
    const holed: PageChanges = { ...changes, pages: changes.pages.slice(1) };
    assert.throws(() => replica.apply(holed), { code: "incomplete" });
    replica.apply(changes);
    const before = toHex(replica.pageHashes().hashes);
    assert.throws(() => replica.apply({ ...holed, pageCount: changes.pageCount + 1 }), {
      code: "incomplete",
    });
    assert.deepEqual(toHex(replica.pageHashes().hashes), before);
  });

  it("repairs a copy that has diverged", async (context) => {
    const stage = setStage(context);
    const { writer, changes } = await seeded(stage);
    const shadow = stage.path("shadow.db");
    const first = openReplica(shadow);
    first.apply(changes);
    first.close();
    const stray = new DatabaseSync(shadow);
    stray.exec(
      "UPDATE account SET balance = 5; DELETE FROM head; CREATE TABLE stray AS SELECT * FROM account",
    );
    stray.close();
    await writer.ask("commit", { times: 5 });
    const replica = stage.own(openReplica(shadow));
    const follower = stage.own(followDatabase(stage.path("primary.db"), replica.pageHashes()));
    replica.apply(follower.read()!);
    replica.close();
    assert.equal(contentOf(shadow), await writer.ask("content"));
  });

  it("replaces a file that is no database", async (context) => {
    const stage = setStage(context);
    const { writer, changes } = await seeded(stage);
    const shadow = stage.path("shadow.db");
    writeFileSync(shadow, "x".repeat(5000));
    const replica = openReplica(shadow);
    assert.deepEqual(replica.pageHashes().hashes, []);
    replica.apply(changes);
    replica.close();
    assert.equal(contentOf(shadow), await writer.ask("content"));
  });

  it("is refused nothing by readers, but says so when somebody else writes", async (context) => {
    const stage = setStage(context);
    const { writer, follower, changes } = await seeded(stage);
    const shadow = stage.path("shadow.db");
    const replica = stage.own(openReplica(shadow));
    replica.apply(changes);
    const application = stage.start("reader");
    await application.ask("open", { path: shadow });
    await application.ask("hold", { sql: "BEGIN; SELECT count(*) FROM account" });
    await writer.ask("commit", { times: 1 });
    replica.apply(follower.read()!);
    await application.ask("hold", { sql: "COMMIT; BEGIN IMMEDIATE" });
    await writer.ask("commit", { times: 1 });
    const next = follower.read()!;
    assert.throws(() => replica.apply(next), { code: "busy" });
    await application.ask("hold", { sql: "COMMIT" });
    replica.apply(next);
    assert.equal(await application.ask("content"), await writer.ask("content"));
  });

  it("is of no use after it was closed", (context) => {
    const stage = setStage(context);
    const replica = openReplica(stage.path("shadow.db"));
    replica.close();
    replica.close();
    assert.throws(() => replica.pageHashes(), { code: "closed" });
  });
});
