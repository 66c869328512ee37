/** The whole under load, and its primary is frozen: a failover over a process that is not dead must leave no second writer behind. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { isWrite, type RequestRecord } from "@understudy/cli/demo/records";
import { primaryNow, rolesNow } from "@understudy/cli/demo/stack";
import { waitFor } from "@understudy/testkit/wait";
import { describeRecords, underLoad } from "../src/under-load.ts";

const BETWEEN_MS = 4_000;
const LOAD_MS = 15_000;
const ANOTHER_WITHIN_MS = 10_000;
const ACCEPTED = 201;

/** Gone, or dead and not yet taken note of by its parent: either way nothing can wake it. */
function isDead(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return /^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return true;
  }
}

test("a frozen primary is promoted over; when it should wake, it is no more", {
  timeout: 120_000,
}, async () => {
  let old = { name: "", pid: 0, epoch: 0 };
  const outcome = await underLoad({ units: 1, lengthMs: LOAD_MS }, async ({ observed }) => {
    await delay(BETWEEN_MS);
    const { name, pid } = primaryNow(observed)!;
    old = { name, pid, epoch: rolesNow(observed)!.epoch };
    process.kill(pid, "SIGSTOP");
    await waitFor(() => rolesNow(observed)!.epoch > old.epoch && primaryNow(observed), {
      withinMs: ANOTHER_WITHIN_MS,
      what: "another primary",
    });
    assert.ok(isDead(pid), "the old primary is fenced");
  });
  try {
    const { load, observed } = outcome;
    const rose = observed.roles.find(({ roles }) => roles.epoch > old.epoch)!;
    assert.notEqual(rose.roles.primary, old.name);
    const answeredAtMs = ({ atMs, latencyMs }: RequestRecord) => load.startedAtMs + atMs + latencyMs;
    const writes = load.records.filter(({ kind, status }) => isWrite(kind) && status === ACCEPTED);
    const stale = writes.filter((record) => record.instance === old.name && answeredAtMs(record) > rose.atMs);
    assert.equal(stale.length, 0, describeRecords(stale));
    assert.ok(
      writes.some((record) => answeredAtMs(record) > rose.atMs),
      "writes go on after it",
    );
    assert.equal(outcome.failed.length, 0, describeRecords(outcome.failed));
    assert.deepEqual(outcome.lost, []);
  } finally {
    await outcome.stack.close();
  }
});
