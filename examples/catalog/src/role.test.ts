import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bootMs, mayWrite, readRole } from "./role.ts";

test("only a primary under a lease may write", () => {
  assert.equal(mayWrite({ role: "primary", epoch: 1, untilBootMs: 100 }, 99), true);
  assert.equal(mayWrite({ role: "primary", epoch: 1, untilBootMs: 100 }, 100), false);
  assert.equal(mayWrite({ role: "shadow", epoch: 1, untilBootMs: 100 }, 99), false);
});

test("no file, half a file and a file of something else give no right to write", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "catalog-role-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, "role.json");
  assert.equal(readRole(file).role, "shadow");
  for (const text of [
    "",
    '{"role":"prim',
    '{"role":"primary"}',
    '{"role":"primary","epoch":"1","untilBootMs":null}',
  ]) {
    writeFileSync(file, text);
    assert.equal(readRole(file).role, "shadow", text);
  }
  writeFileSync(file, '{"role":"primary","epoch":3,"untilBootMs":5}');
  assert.deepEqual(readRole(file), { role: "primary", epoch: 3, untilBootMs: 5 });
});

test("boot time moves forward", () => {
  const before = bootMs();
  assert.ok(before > 0);
  assert.ok(bootMs() >= before);
});
