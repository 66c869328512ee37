/**
 * A program that writes plain files with an invariant across them: `file-writer.ts FOLDER [BYTES] [PAUSE_MS]`. Each round
 * rewrites every file in place, the first one first. So at any instant the rounds of the files fall by one at most, and
 * they are all equal when it is quiet, which POST /quiesce makes it and POST /thaw ends. Says its port and each round.
 */

import { constants, mkdirSync, openSync, writeSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import { FILES, roundText } from "./file-rounds.ts";

const [folder = ".", bytes = "8192", pauseMs = "0"] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const files = FILES.map((name) => openSync(join(folder, name), constants.O_RDWR | constants.O_CREAT));
let quiet = false;
let resting: (() => void) | undefined;
let ended: Promise<void> = Promise.resolve();

const server = createServer((request, response) => {
  const answer = () => response.end("ok\n");
  if (request.url === "/quiesce") {
    quiet = true;
    ended.then(answer);
    return;
  }
  if (request.url === "/thaw") {
    quiet = false;
    resting?.();
  } else if (request.url !== "/stuck") response.statusCode = 404;
  if (request.url !== "/stuck") answer();
}).listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  process.stdout.write(`port ${port}\n`);
  void write();
});

async function write(): Promise<void> {
  for (let round = 1; ; round += 1) {
    // The last thing before a round: once quiesce is answered, none may begin.
    while (quiet) await new Promise<void>((resolve) => (resting = resolve));
    const over = Promise.withResolvers<void>();
    ended = over.promise;
    const text = roundText(round, Number(bytes));
    for (const file of files) {
      writeSync(file, text, 0, text.length, 0);
      await setImmediate();
    }
    over.resolve();
    process.stdout.write(`round ${round}\n`);
    await sleep(Number(pauseMs));
  }
}
process.stdin.on("end", () => process.exit(0)).resume();
process.stdout.on("error", () => process.exit(0));
