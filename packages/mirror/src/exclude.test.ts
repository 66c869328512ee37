import assert from "node:assert/strict";
import { test } from "node:test";
import { EXCLUDES_MAX, excludes } from "./exclude.ts";

test("a glob without a slash names files and folders at any depth, one with a slash a path from the top", () => {
  const isOut = excludes(["*.tmp", "node_modules/", "/cache/*", "a/**/z", "./top"]);
  const out = ["x.tmp", "deep/x.tmp", "node_modules", "deep/node_modules/x/y", "cache/x", "cache/x/y"];
  for (const path of [...out, "a/b/z", "a/b/c/z/below", "top", "top/x"]) assert.ok(isOut(path), path);
  for (const path of ["x.tmp2", "cache", "deep/cache/x", "modules", "z", "deep/top"])
    assert.equal(isOut(path), false, path);
});

test("no globs leave nothing out, and too many are refused", () => {
  assert.equal(excludes([])("anything"), false);
  assert.throws(() => excludes(Array.from({ length: EXCLUDES_MAX + 1 }, () => "x")), {
    name: "MirrorError",
  });
});
