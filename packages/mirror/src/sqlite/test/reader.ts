/**
 * The application on a shadow: it has its copy open all the time, reads without pause and checks what it sees. After the
 * promotion it writes, with the connections that it has.
 */

import { DatabaseSync } from "node:sqlite";
import { seededRandom } from "@understudy/testkit/random";
import { contentHash, inspect, serialOf, transfer } from "./bank.ts";
import { answer } from "./processes.ts";

const EVERY_MS = 4;
const PROBLEMS_MAX = 5;

let path = "";
let holding: DatabaseSync | undefined;
let connections: DatabaseSync[] = [];
const problems: string[] = [];
const lagsMs: number[] = [];
let reads = 0;
let serial = 0;
let writing: ReturnType<typeof seededRandom> | undefined;

function look(): void {
  const connection = connections[reads % connections.length]!;
  try {
    const seen = inspect(connection);
    if (seen.problem !== "") report(`torn: ${seen.problem}`);
    if (seen.serial < serial) report(`backward: ${seen.serial} after ${serial}`);
    if (seen.serial > serial) lagsMs.push(Number(process.hrtime.bigint() - seen.atNs) / 1e6);
    serial = seen.serial;
  } catch (error) {
    report(String(error));
  }
  reads += 1;
}

function report(problem: string): void {
  if (problems.length < PROBLEMS_MAX) problems.push(`read ${reads}: ${problem}`);
}

answer({
  /** No busy time-out: a reader that is ever refused has to notice. */
  open(asked: { path: string; everyMs?: number }) {
    path = asked.path;
    connections = [
      new DatabaseSync(path, { timeout: 0 }),
      new DatabaseSync(path, { timeout: 0, readOnly: true }),
    ];
    setInterval(look, asked.everyMs ?? EVERY_MS);
  },
  status: () => ({ reads, serial, problems, lagsMs }),
  content: () => contentHash(connections[reads % 2]!),
  write({ times }: { times: number }) {
    writing ??= seededRandom(serialOf(connections[0]!));
    for (let time = 0; time < times; time += 1) transfer(connections[0]!, writing);
    return serialOf(connections[0]!);
  },
  /** On a connection of its own, so that the reading goes on. */
  hold({ sql }: { sql: string }) {
    holding ??= new DatabaseSync(path, { timeout: 0 });
    holding.exec(sql);
  },
  exec: ({ sql }: { sql: string }) => connections[0]!.prepare(sql).get(),
});
