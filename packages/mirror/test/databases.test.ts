/** A mirror of live SQLite databases over real TLS: another process reads the shadow's copy all the time. */

import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { type TestContext, test } from "node:test";
import { attach, openWorld, until, type World } from "./ends.ts";

const PATHS = ["data/catalog.db"];

function openDatabase(t: TestContext, path: string): DatabaseSync {
  const database = new DatabaseSync(path);
  t.after(() => database.isOpen && database.close());
  database.exec("PRAGMA journal_mode = WAL; PRAGMA busy_timeout = 2000");
  return database;
}

async function openSqliteWorld(t: TestContext): Promise<{ world: World; database: DatabaseSync }> {
  const world = await openWorld(t, { consistency: "sqlite", paths: PATHS });
  const { mkdirSync } = await import("node:fs");
  mkdirSync(world.at("one", "data"));
  const database = openDatabase(t, world.at("one", PATHS[0]!));
  database.exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT)");
  return { world, database };
}

function add(database: DatabaseSync, text: string): void {
  database.prepare("INSERT INTO orders (text) VALUES (?)").run(text);
}

function textsAt(world: World, name: string): string[] {
  const reader = new DatabaseSync(world.at(name, PATHS[0]!), { readOnly: true });
  try {
    return reader
      .prepare("SELECT text FROM orders ORDER BY id")
      .all()
      .map((row) => String(row.text));
  } finally {
    reader.close();
  }
}

test("a database is seeded and each transaction arrives", async (t) => {
  const { world, database } = await openSqliteWorld(t);
  for (let order = 0; order < 500; order += 1) add(database, `order ${order} ${"x".repeat(100)}`);
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  await until("seeded", () => shadow.seeded());
  assert.equal(textsAt(world, "two").length, 500);
  for (let order = 0; order < 50; order += 1) {
    add(database, `after ${order}`);
    const { version } = await primary.seal();
    assert.ok(await primary.waitDurable(version, ["two"], AbortSignal.timeout(5_000)));
    await until("visible", () => shadow.visible().version >= version);
    assert.equal(textsAt(world, "two").at(-1), `after ${order}`);
  }
  assert.deepEqual(world.errors, []);
});
