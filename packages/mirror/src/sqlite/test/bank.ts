/**
 * The database of these tests: transfers between accounts, kept so that a reader can tell at once whether it sees whole
 * transactions. Balances add up to nothing, and one row says how many ledger rows there are and what they add up to.
 */

import { createHash } from "node:crypto";
import type { DatabaseSync } from "node:sqlite";
import type { Random } from "@understudy/testkit/random";

const ACCOUNTS = 200;
const LEDGER_ROWS = 600;
const PAD_BYTES_MAX = 600;

export function createBank(database: DatabaseSync): void {
  database.exec(`
    BEGIN;
    CREATE TABLE account (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
    CREATE TABLE ledger (serial INTEGER PRIMARY KEY, amount INTEGER NOT NULL, pad BLOB NOT NULL);
    CREATE INDEX ledger_amount ON ledger (amount);
    CREATE TABLE head (serial INTEGER, rows INTEGER, total INTEGER, at_ns INTEGER);
    INSERT INTO head VALUES (0, 0, 0, 0);
    COMMIT;
  `);
  const insert = database.prepare("INSERT INTO account VALUES (?, 0)");
  database.exec("BEGIN");
  for (let id = 0; id < ACCOUNTS; id += 1) insert.run(id);
  database.exec("COMMIT");
}

/** One transaction: a transfer, its ledger row, and now and then old rows that go, so that pages become free. */
export function transfer(database: DatabaseSync, random: Random): void {
  const amount = random.integer(1, 1000);
  database.exec("BEGIN IMMEDIATE");
  const serial = serialOf(database) + 1;
  const move = database.prepare("UPDATE account SET balance = balance + ? WHERE id = ?");
  move.run(amount, random.integer(0, ACCOUNTS));
  move.run(-amount, random.integer(0, ACCOUNTS));
  const pad = Buffer.alloc(random.integer(0, PAD_BYTES_MAX), serial % 251);
  database.prepare("INSERT INTO ledger VALUES (?, ?, ?)").run(serial, amount, pad);
  const old = serial - random.integer(LEDGER_ROWS / 4, LEDGER_ROWS);
  if (serial % 10 === 0) database.prepare("DELETE FROM ledger WHERE serial < ?").run(old);
  database
    .prepare(
      "UPDATE head SET serial = ?, at_ns = ?, (rows, total) = (SELECT count(*), sum(amount) FROM ledger)",
    )
    .run(serial, process.hrtime.bigint());
  database.exec("COMMIT");
}

export function serialOf(database: DatabaseSync): number {
  return Number(database.prepare("SELECT serial FROM head").get()?.serial);
}

export type Seen = { readonly serial: number; readonly atNs: bigint; readonly problem: string };

/** All invariants in one read transaction; an empty problem when they hold. */
export function inspect(database: DatabaseSync): Seen {
  database.exec("BEGIN");
  try {
    const head = database.prepare("SELECT serial, rows, total, CAST(at_ns AS TEXT) AS at FROM head").get()!;
    const sum = database.prepare("SELECT sum(balance) AS sum FROM account").get()!.sum;
    const ledger = database
      .prepare("SELECT max(serial) AS last, count(*) AS rows, sum(amount) AS total FROM ledger NOT INDEXED")
      .get()!;
    const indexed = database
      .prepare("SELECT count(*) AS rows FROM ledger INDEXED BY ledger_amount")
      .get()!.rows;
    const fits =
      sum === 0 &&
      (ledger.last ?? 0) === head.serial &&
      ledger.rows === head.rows &&
      indexed === head.rows &&
      (ledger.total ?? 0) === head.total;
    const problem = fits ? "" : JSON.stringify({ head, sum, ledger, indexed });
    return { serial: Number(head.serial), atNs: BigInt(String(head.at)), problem };
  } finally {
    database.exec("COMMIT");
  }
}

/** Hash of the content of every table, and of what SQLite itself finds wrong with the file. */
export function contentHash(database: DatabaseSync): string {
  const digest = createHash("sha256");
  database.exec("BEGIN");
  try {
    digest.update(JSON.stringify(database.prepare("PRAGMA integrity_check").all()));
    const tables = database
      .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' ORDER BY name")
      .all();
    for (const { name, sql } of tables) {
      digest.update(`${name}${sql}`);
      const rows = database.prepare(`SELECT * FROM "${name}" ORDER BY rowid`);
      rows.setReadBigInts(true);
      for (const row of rows.iterate()) {
        for (const value of Object.values(row))
          digest.update(value instanceof Uint8Array ? value : `|${value}`);
      }
    }
  } finally {
    database.exec("COMMIT");
  }
  return digest.digest("hex");
}
