/**
 * A small instance for tests: answers GET / with what it was told (role, environment). IGNORE_TERM=1: only SIGKILL ends it.
 * WITH_CHILD=group|session|escaped: it starts a process in its group, in a group of its own, in a session of its own.
 */

import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { UNDERSTUDY_PORT, UNDERSTUDY_ROLE_FILE, IGNORE_TERM, WITH_CHILD, SAY, LISTEN } = process.env;

if (IGNORE_TERM) process.on("SIGTERM", () => process.stdout.write("not yet\n"));
if (SAY) process.stdout.write(`${SAY}\n`);
const child = WITH_CHILD ? startChild(WITH_CHILD) : undefined;

const signals: string[] = [];
process.on("SIGHUP", (name) => void signals.push(name));

const server = createServer((_, response) => {
  const role: unknown = UNDERSTUDY_ROLE_FILE
    ? JSON.parse(readFileSync(UNDERSTUDY_ROLE_FILE, "utf8"))
    : undefined;
  response.end(
    JSON.stringify({ role, environment: process.env, childPid: child?.pid, cwd: process.cwd(), signals }),
  );
});
server.on("error", (error) => {
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
});
// A container is reached from outside its own loopback.
server.listen(Number(UNDERSTUDY_PORT), LISTEN ?? "127.0.0.1");

function startChild(kind: string) {
  if (kind === "escaped") return spawn("sleep", ["600"], { detached: true, stdio: "ignore" });
  // Job control puts a background job into a group of its own within the session.
  if (kind === "session") return spawn("bash", ["-c", "set -m; sleep 600 & wait"], { stdio: "ignore" });
  return spawn("sleep", ["600"], { stdio: "ignore" });
}
