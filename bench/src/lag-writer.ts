/**
 * Makes changes at a steady rate and says when each was durable: `lag-writer.ts files|sqlite DIR RATE SECONDS`. A change of
 * files writes its number into one of sixteen, in turn; one of the database is a transaction of its own. Answers POST
 * /quiesce and /thaw. Says its port, and at the end the times as one line.
 */

import { constants, mkdirSync, openSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

const [kind = "files", dir = ".", rate = "1000", seconds = "60"] = process.argv.slice(2);
mkdirSync(dir, { recursive: true });
const write = kind === "sqlite" ? database() : files();
const total = Number(rate) * Number(seconds);
const times: number[] = [];
let [quiet, started] = [false, false];

createServer((request, response) => {
  if (request.url === "/start") started = true;
  // Each change is whole by itself: it is quiet as soon as it is asked.
  if (request.url === "/quiesce") quiet = true;
  if (request.url === "/thaw") quiet = false;
  response.end("ok\n");
}).listen(0, "127.0.0.1", function (this: { address(): unknown }) {
  process.stdout.write(`${JSON.stringify({ port: (this.address() as AddressInfo).port })}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();

write(0);
while (!started) await sleep(5);
const beganMs = performance.now();
while (times.length < total) {
  const due = Math.min(total, Math.floor(((performance.now() - beganMs) / 1000) * Number(rate)));
  while (!quiet && times.length < due) {
    write(times.length + 1);
    times.push(Number(process.hrtime.bigint()) / 1e6);
  }
  await sleep(1);
}
process.stdout.write(`${JSON.stringify({ times })}\n`);

function files(): (n: number) => void {
  const all = Array.from({ length: 16 }, (_, index) =>
    openSync(join(dir, `file-${index}`), constants.O_RDWR | constants.O_CREAT),
  );
  for (const file of all) writeSync(file, Buffer.alloc(4096, "0"), 0, 4096, 0);
  return (n) => void writeSync(all[n % all.length]!, `${String(n).padStart(12, "0")}`, 0);
}

function database(): (n: number) => void {
  const open = new DatabaseSync(join(dir, "state.db"), { timeout: 5_000 });
  open.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS changes (id INTEGER PRIMARY KEY, n INTEGER); INSERT OR IGNORE INTO changes VALUES (1, 0)`);
  const set = open.prepare("UPDATE changes SET n = ? WHERE id = 1");
  return (n) => void set.run(n);
}
