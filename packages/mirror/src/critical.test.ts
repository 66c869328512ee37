import assert from "node:assert/strict";
import { test } from "node:test";
import { isCritical, mayLeadToCritical } from "./critical.ts";

test("a path is critical when a glob matches all of it", () => {
  const globs = ["orders/**/*.json", "*.key"];
  for (const path of ["orders/a.json", "orders/x/y/a.json", "a.key"])
    assert.ok(isCritical(path, globs), path);
  for (const path of ["orders/a.txt", "x/a.key", "orders", "a.json"])
    assert.ok(!isCritical(path, globs), path);
  assert.ok(!isCritical("a", []));
});

test("a folder leads to what is critical when something below it could be", () => {
  const globs = ["orders/**/*.json", "a/*/c"];
  for (const path of ["orders", "orders/today", "orders/x/y", "a", "a/b"])
    assert.ok(mayLeadToCritical(path, globs), path);
  for (const path of ["other", "a/b/c", "b", "orders2"]) assert.ok(!mayLeadToCritical(path, globs), path);
});
