/** Where the next version is made: a tree that may still be read is never taken, and no version waits without a reason. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type Left, NAMES_MAX, nextTree, READER_GRACE_MS, TREES_MAX } from "./next-tree.ts";

const SEED = 20_261_124;
const nobody = new Set<Left>();
const left = (...ages: number[]): Left[] => ages.map((ageMs) => ({ leftAtMs: 1_000 - ageMs }));
const at = { nowMs: 1_000, pinned: nobody, files: 10 };

test("of those that have rested the one that rested longest is taken", () => {
  const trees = left(READER_GRACE_MS, 10, 3 * READER_GRACE_MS);
  assert.deepEqual(nextTree(trees, at), { do: "try", tree: trees[2] });
});

test("a few files are linked once more rather than that a version waits", () => {
  assert.deepEqual(nextTree(left(1, 2), at), { do: "copy" });
  assert.deepEqual(nextTree(left(...Array(TREES_MAX - 1).fill(60)), at), { do: "wait", ms: 5 });
  assert.deepEqual(nextTree(left(...Array(TREES_MAX - 1).fill(98)), at), { do: "wait", ms: 2 });
});

test("of many files there are two trees, and others only while those are pinned", () => {
  const many = { ...at, files: NAMES_MAX };
  const trees = left(40);
  assert.equal(nextTree(trees, many).do, "wait");
  assert.equal(nextTree(trees, { ...many, pinned: new Set(trees) }).do, "copy");
  const all = left(...Array(TREES_MAX - 1).fill(500));
  assert.equal(nextTree(all, { ...many, pinned: new Set(all) }).do, "wait", "all of them are pinned");
});

test("whatever there is: nothing pinned or unrested is taken, and the bounds hold", () => {
  const tree = fc.record({ ageMs: fc.nat(250), isPinned: fc.boolean() });
  fc.assert(
    fc.property(fc.array(tree, { maxLength: TREES_MAX - 1 }), fc.nat(2 * NAMES_MAX), (given, files) => {
      const all = given.map(({ ageMs, isPinned }) => ({ leftAtMs: 1_000 - ageMs, isPinned }));
      const pinned = new Set(all.filter(({ isPinned }) => isPinned));
      const next = nextTree(all, { nowMs: 1_000, pinned, files });
      const ready = all.filter(({ leftAtMs, isPinned }) => !isPinned && 1_000 - leftAtMs >= READER_GRACE_MS);
      if (ready.length > 0) {
        assert.ok(next.do === "try" && ready.includes(next.tree));
        assert.ok(ready.every(({ leftAtMs }) => leftAtMs >= next.tree.leftAtMs));
      } else if (next.do === "copy") {
        assert.ok(all.length + 1 < TREES_MAX);
        assert.ok((all.length + 2) * files <= NAMES_MAX || pinned.size === all.length);
      } else assert.ok(next.do === "wait" && next.ms > 0 && next.ms <= 5);
    }),
    { seed: SEED },
  );
});
