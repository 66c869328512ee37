/** The writer of a database for the torn bench: `torn-writer.ts FILE PAUSE_MS`. One transaction changes many pages or none. */

import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

const [file = "", pauseMs = "5"] = process.argv.slice(2);
const database = new DatabaseSync(file, { timeout: 5_000 });
database.exec(`PRAGMA journal_mode = WAL;
  CREATE TABLE IF NOT EXISTS cells (id INTEGER PRIMARY KEY, n INTEGER, filler TEXT);
  CREATE TABLE IF NOT EXISTS rounds (n INTEGER PRIMARY KEY);`);
const cells = database.prepare("SELECT count(*) AS n FROM cells").get()!;
for (let id = Number(cells.n); id < 12; id += 1)
  database.prepare("INSERT INTO cells VALUES (?, 0, ?)").run(id, "x".repeat(3000));
let n = Number(database.prepare("SELECT coalesce(max(n), 0) AS n FROM rounds").get()!.n);
const set = database.prepare("UPDATE cells SET n = ?");
const add = database.prepare("INSERT INTO rounds VALUES (?)");
process.stdin.on("end", () => process.exit(0)).resume();
process.stdout.on("error", () => process.exit(0));
for (;;) {
  n += 1;
  database.exec("BEGIN IMMEDIATE");
  set.run(n);
  add.run(n);
  database.exec("COMMIT");
  process.stdout.write(`round ${n}\n`);
  await sleep(Number(pauseMs));
}
