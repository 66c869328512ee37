/** The application on the primary: the only writer of its database. */

import { DatabaseSync } from "node:sqlite";
import { type Random, seededRandom } from "@understudy/testkit/random";
import { contentHash, createBank, serialOf, transfer } from "./bank.ts";
import { answer } from "./processes.ts";

let database: DatabaseSync;
let random: Random = seededRandom(1);
let timer: NodeJS.Timeout | undefined;

answer({
  open({ path, seed, pageSize = 4096 }: { path: string; seed: number; pageSize?: number }) {
    random = seededRandom(seed);
    database = new DatabaseSync(path, { timeout: 5000 });
    database.exec(`PRAGMA page_size=${pageSize}; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL`);
    const known = database.prepare("SELECT count(*) AS n FROM sqlite_schema WHERE name = 'head'").get()!.n;
    if (known === 0) createBank(database);
  },
  commit({ times }: { times: number }) {
    for (let time = 0; time < times; time += 1) transfer(database, random);
  },
  exec: ({ sql }: { sql: string }) => database.prepare(sql).get() ?? database.exec(sql),
  run({ perSecond }: { perSecond: number }) {
    const startMs = performance.now();
    let done = 0;
    timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startMs) / 1000) * perSecond);
      if (done >= due) return;
      transfer(database, random);
      // Late is late: no burst afterwards, the lag of single commits is to be measured.
      done = due;
    }, 1);
  },
  halt: () => clearInterval(timer),
  serial: () => serialOf(database),
  content: () => contentHash(database),
  close: () => database.close(),
});
