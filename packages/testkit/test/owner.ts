/** An owner of a run for guardian.test.ts: starts a process that ignores SIGTERM in a group of its own, says so, and waits. */

import { spawn } from "node:child_process";
import { openRun } from "@understudy/testkit/run";

const FOREVER_MS = 60_000;

const run = openRun();
const child = spawn(
  process.execPath,
  ["-e", `process.on("SIGTERM", () => {}); setTimeout(() => {}, ${FOREVER_MS})`],
  {
    env: { ...run.env },
    detached: true,
    stdio: "ignore",
  },
);
await new Promise((resolve) => child.once("spawn", resolve));
console.log(JSON.stringify({ id: run.id, folder: run.folder }));
if (process.argv[2] === "kept") {
  await run.keep();
  console.log("kept");
}
setTimeout(() => undefined, FOREVER_MS);
