import assert from "node:assert/strict";
import { join, normalize } from "node:path";
import { test } from "node:test";
import fc from "fast-check";
import { MirrorError } from "./error.ts";
import { checkedRoots, isCovered, isInnerLink, isPlainPath, leadsToRoot } from "./paths.ts";

const piece = fc.constantFrom("a", "b", "..", ".", "", "c d", "\0");
const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join("/"));

test("a plain path stays below the folder it is joined to", () => {
  fc.assert(
    fc.property(text, (path) => {
      if (isPlainPath(path)) assert.equal(join("/state", path), `/state/${path}`);
    }),
    { numRuns: 1_000 },
  );
});

test("paths that climb, start at the root or are not in normal form are not plain", () => {
  for (const path of ["", "/", "/etc", "..", "a/../b", "a//b", "./a", "a/", "a\0b", "x".repeat(5_000)]) {
    assert.equal(isPlainPath(path), false, path.slice(0, 20));
  }
  for (const path of ["a", "a/b", "..a", "a..b/c", "...", "ü/ß"]) assert.equal(isPlainPath(path), true, path);
});

test("an inner link stays inside", () => {
  fc.assert(
    fc.property(text, text, (path, target) => {
      if (!isPlainPath(path) || !isInnerLink(path, target)) return;
      const end = normalize(join("/state", path, "..", target));
      assert.ok(
        end === "/state" || end === "/state/" || end.startsWith("/state/"),
        `${path} -> ${target}: ${end}`,
      );
    }),
    { numRuns: 1_000 },
  );
});

test("a link may not climb after a name, because the name may be a link itself", () => {
  assert.equal(isInnerLink("d/s", ".."), true);
  assert.equal(isInnerLink("t", "d/s/.."), false);
  assert.equal(isInnerLink("a/b/link", "../../x/y"), true);
  assert.equal(isInnerLink("a/link", "../../x"), false);
  assert.equal(isInnerLink("link", "/etc/passwd"), false);
});

test("roots cover what lies below them and lead to themselves", () => {
  const roots = checkedRoots(["./data/kept/", "single"]);
  assert.deepEqual(roots, ["data/kept", "single"]);
  assert.equal(isCovered("data/kept/x", roots), true);
  assert.equal(isCovered("data/kept", roots), true);
  assert.equal(isCovered("data/keptx", roots), false);
  assert.equal(isCovered("data", roots), false);
  assert.equal(leadsToRoot("data", roots), true);
  assert.equal(leadsToRoot("dat", roots), false);
  assert.equal(isCovered("anything/at/all", checkedRoots(["."])), true);
});

test("a root outside the state folder is a mistake of the configuration", () => {
  for (const root of ["../x", "/etc", "a/../../b", ""])
    assert.throws(() => checkedRoots([root]), MirrorError);
});
