/** Nothing outlives its owner: an owner that is killed leaves neither processes, whatever their group, nor files. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { endRun, openRun } from "@understudy/testkit/run";
import { findRunProcesses } from "@understudy/testkit/run-processes";
import { waitFor } from "@understudy/testkit/wait";

type Owner = {
  readonly id: string;
  readonly folder: string;
  readonly ended: Promise<unknown>;
  line(): Promise<string>;
  kill(name: NodeJS.Signals): void;
};

/** An owner in its own process, with a stubborn grandchild in another process group. */
async function startOwner(t: TestContext, mode: "guarded" | "kept"): Promise<Owner> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "owner.ts"), mode], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const line = async () => String((await lines.next()).value);
  const { id, folder } = JSON.parse(await line()) as { id: string; folder: string };
  t.after(() => endRun({ id, folder }));
  return { ended: once(child, "exit"), id, folder, line, kill: (name) => child.kill(name) };
}

test("an owner killed by SIGKILL leaves no process and no folder", async (t) => {
  const owner = await startOwner(t, "guarded");
  assert.equal(findRunProcesses(owner.id).length, 1);
  owner.kill("SIGKILL");
  await waitFor(() => findRunProcesses(owner.id).length === 0, {
    withinMs: 15_000,
    what: "the end of its processes",
  });
  await waitFor(() => !existsSync(owner.folder), { withinMs: 5000, what: "the removal of its folder" });
});

test("a run that was kept goes on without its owner, and another process can end it", async (t) => {
  const owner = await startOwner(t, "kept");
  assert.equal(await owner.line(), "kept");
  owner.kill("SIGKILL");
  await owner.ended;
  assert.equal(findRunProcesses(owner.id).length, 1);
  await endRun({ id: owner.id, folder: owner.folder });
  assert.equal(findRunProcesses(owner.id).length, 0);
  assert.equal(existsSync(owner.folder), false);
});

test("closing a run twice ends it once, with processes that ignore SIGTERM", async () => {
  const run = openRun();
  spawn("/bin/sh", ["-c", "trap '' TERM; while :; do sleep 1; done"], {
    env: { ...run.env },
    stdio: "ignore",
  });
  await waitFor(() => findRunProcesses(run.id).length > 0, { withinMs: 5000 });
  await Promise.all([run.close(), run.close()]);
  assert.deepEqual(findRunProcesses(run.id), []);
  assert.equal(existsSync(run.folder), false);
});
