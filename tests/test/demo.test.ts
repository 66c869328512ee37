/** The demo as a user runs it: its report, and that it leaves nothing behind. Small and short: figures are the bench's. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { EXIT_BUSY_MACHINE, EXIT_VALID, REPORT_KEYS, startDemo } from "../src/demo-process.ts";

const EXIT_INTERRUPTED = 130;

test("a demo kills its primary, loses nothing and reports every figure that is promised", {
  timeout: 120_000,
}, async () => {
  const demo = startDemo("--duration", "9", "--policy", "static", "--seed", "3", "--json");
  const exited = once(demo, "exit");
  const [output, errors] = await Promise.all([text(demo.stdout!), text(demo.stderr!)]);
  const [code] = (await exited) as [number | null];
  assert.ok(code === EXIT_VALID || code === EXIT_BUSY_MACHINE, `exit code ${code}:\n${errors}`);
  const result = JSON.parse(output.trimEnd().split("\n").at(-1)!);
  assert.equal(result.seed, 3);
  assert.equal(result.valid, code === EXIT_VALID);
  assert.deepEqual(Object.keys(result.policies), ["static"]);
  const report = result.policies.static;
  for (const key of REPORT_KEYS) assert.ok(key in report, key);
  assert.ok(report.requests > 500);
  assert.equal(report.criticalWritesLost, 0);
  assert.ok(report.failoverMs > 0);
  assert.ok(report.shadowSeconds > 0);
  assert.ok(report.deltaBytes > 0 && report.stateBytes > 0);
  assert.ok(report.traceSpans >= 4);
  assert.match(errors, /failover\.done/);
});

test("an interrupted demo ends everything that it started", { timeout: 90_000 }, async () => {
  const demo = startDemo("--duration", "60");
  const exited = once(demo, "exit");
  for await (const line of createInterface({ input: demo.stdout! })) {
    if (!line.includes("requests go to")) continue;
    const port = /127\.0\.0\.1:(\d+)/.exec(line)![1];
    const answer = await fetch(`http://127.0.0.1:${port}/products/1`);
    assert.equal(answer.status, 200);
    demo.kill("SIGTERM");
    const [code] = (await exited) as [number | null];
    assert.equal(code, EXIT_INTERRUPTED);
    await assert.rejects(fetch(`http://127.0.0.1:${port}/products/1`));
    return;
  }
  assert.fail("it never sent a request");
});
