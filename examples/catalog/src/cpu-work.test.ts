import assert from "node:assert/strict";
import { test } from "node:test";
import { burnCpu } from "./cpu-work.ts";

test("work takes the processor time that was asked for, and hardly more", () => {
  const before = process.threadCpuUsage();
  const said = Array.from({ length: 20 }, () => burnCpu(2)).reduce((sum, ms) => sum + ms, 0);
  const used = process.threadCpuUsage(before);
  const usedMs = (used.user + used.system) / 1000;
  assert.ok(said >= 40, `${said} ms`);
  assert.ok(usedMs >= 40 && usedMs < 80, `${usedMs} ms`);
});

test("no work takes none", () => {
  assert.equal(burnCpu(0), 0);
});
