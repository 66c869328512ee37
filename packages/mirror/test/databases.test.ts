/** A mirror of live SQLite databases over real TLS. That readers never see half a transaction is proven in src/sqlite/test. */

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { attach, caughtUp, openWorld, until, type World } from "./ends.ts";

const PATH = "data/catalog.db";

function openDatabase(t: TestContext, path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 5_000 });
  t.after(() => database.isOpen && database.close());
  database.exec("PRAGMA journal_mode = WAL");
  return database;
}

async function openSqliteWorld(t: TestContext): Promise<{ world: World; database: DatabaseSync }> {
  const world = await openWorld(t, { consistency: "sqlite", paths: [PATH] });
  mkdirSync(world.at("one", "data"));
  const database = openDatabase(t, world.at("one", PATH));
  database.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT)");
  return { world, database };
}

function add(database: DatabaseSync, ...texts: string[]): void {
  const insert = database.prepare("INSERT INTO orders (text) VALUES (?)");
  database.exec("BEGIN");
  for (const text of texts) insert.run(text);
  database.exec("COMMIT");
}

function textsAt(world: World, name: string): string[] {
  const reader = new DatabaseSync(world.at(name, PATH), { readOnly: true, timeout: 5_000 });
  try {
    const rows = reader.prepare("SELECT text FROM orders ORDER BY id").all();
    return rows.map((row) => String(row.text));
  } finally {
    reader.close();
  }
}

const many = (count: number, what: string) =>
  Array.from({ length: count }, (_, at) => `${what} ${at} ${"x".repeat(200)}`);

test("a database is seeded and each transaction arrives", async (t) => {
  const { world, database } = await openSqliteWorld(t);
  add(database, ...many(500, "order"));
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  await until("seeded", () => shadow.seeded());
  assert.equal(textsAt(world, "two").length, 500);
  for (let order = 0; order < 30; order += 1) {
    add(database, `after ${order}`);
    const { version } = await primary.seal();
    assert.ok(await primary.waitDurable(version, ["two"], AbortSignal.timeout(20_000)));
    await until("visible", () => shadow.visible().version >= version);
    assert.equal(textsAt(world, "two").at(-1), `after ${order}`);
  }
  assert.deepEqual(world.errors, []);
});

test("a database that appears after its mirror was opened is mirrored", async (t) => {
  const world = await openWorld(t, { consistency: "sqlite", paths: [PATH] });
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  await until("seeded with nothing", () => shadow.seeded());
  mkdirSync(world.at("one", "data"), { recursive: true });
  const database = openDatabase(t, world.at("one", PATH));
  database.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT)");
  add(database, "first");
  await caughtUp(primary, shadow);
  assert.deepEqual(textsAt(world, "two"), ["first"]);
});

test("VACUUM, a checkpoint and a shrinking database arrive as well", async (t) => {
  const { world, database } = await openSqliteWorld(t);
  add(database, ...many(2_000, "order"));
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  const before = primary.stateBytes();
  database.exec("DELETE FROM orders WHERE id > 10");
  database.exec("VACUUM");
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  add(database, "after all that");
  await caughtUp(primary, shadow);
  assert.deepEqual(textsAt(world, "two"), textsAt(world, "one"));
  assert.ok(primary.stateBytes() < before / 4);
});

test("writes go on while a shadow is seeded, and all of them arrive", async (t) => {
  const { world, database } = await openSqliteWorld(t);
  for (let round = 0; round < 22; round += 1) add(database, ...many(1_000, `order ${round}`));
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  let round = 0;
  await until("seeded", () => {
    round += 1;
    database.prepare("UPDATE orders SET text = ? WHERE id % 97 = ?").run(`round ${round}`, round % 97);
    add(database, `during ${round}`);
    return shadow.seeded();
  });
  await caughtUp(primary, shadow);
  assert.deepEqual(textsAt(world, "two"), textsAt(world, "one"));
});

test("promotion: the shadow's application writes on, the old primary catches up by what differs", async (t) => {
  const { world, database } = await openSqliteWorld(t);
  add(database, ...many(3_000, "order"));
  const listener = await world.listen();
  const two = await world.shadow(listener, { name: "two" });
  const first = await world.primary();
  attach(first, listener, "two");
  await caughtUp(first, two);
  // The application of the shadow has the database open all the time, as in life.
  const reader = openDatabase(t, world.at("two", PATH));
  assert.equal(reader.prepare("SELECT count(*) AS n FROM orders").get()?.n, 3_000);

  first.detach("two");
  add(database, "a write nobody else has");
  await first.seal();
  await first.close();
  database.close();

  await two.raiseEpoch(2);
  const from = await two.release();
  const second = await world.primary({ name: "two", epoch: 2, from });
  add(reader, "a write of epoch 2");
  const one = await world.shadow(listener, { name: "one", incarnation: "i2" });
  attach(second, listener, "one", "i2");
  await caughtUp(second, one);
  const texts = textsAt(world, "one");
  assert.equal(texts.at(-1), "a write of epoch 2");
  assert.equal(texts.includes("a write nobody else has"), false);
  assert.deepEqual(texts, textsAt(world, "two"));
  const { seedBytes, deltaBytes } = second.shadows()[0]!;
  assert.equal(seedBytes, 0);
  assert.ok(deltaBytes < 60_000, `${deltaBytes} bytes for two rows`);
  assert.deepEqual(world.errors, []);
});

test("a shadow's database that somebody wrote to counts for nothing until it has caught up", async (t) => {
  const { world, database } = await openSqliteWorld(t);
  add(database, ...many(100, "order"));
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary();
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  await shadow.close();
  // Opened and closed once more, so that its journal is empty and cannot mend the database by itself.
  await (await world.shadow(listener, { name: "two" })).close();
  const intruder = openDatabase(t, world.at("two", PATH));
  add(intruder, "not from the primary");
  intruder.close();
  const reopened = await world.shadow(listener, { name: "two" });
  assert.equal(reopened.durable().version, 0);
  assert.equal(reopened.seeded(), false);
  await caughtUp(primary, reopened);
  assert.deepEqual(textsAt(world, "two"), textsAt(world, "one"));
});
