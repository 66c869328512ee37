import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { owns, parseShard, SHARDS_MAX, shardOf, WHOLE } from "./shard.ts";

const anyName = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
const anyCount = fc.integer({ min: 1, max: 32 });

test("shards part any names among them: each belongs to exactly one", () => {
  fc.assert(
    fc.property(fc.uniqueArray(anyName), anyCount, (names, of) => {
      const parts = Array.from({ length: of }, (_, index) =>
        names.filter((name) => owns({ index, of }, name)),
      );
      assert.deepEqual(parts.flat().toSorted(), names.toSorted());
    }),
  );
});

test("one shard more takes names from the others and moves none between them", () => {
  fc.assert(
    fc.property(anyName, anyCount, (name, of) => {
      const [before, after] = [shardOf(name, of), shardOf(name, of + 1)];
      assert.ok(after === before || after === of);
    }),
  );
});

test("parts are even, and one shard more takes about its part, whatever the names look like", () => {
  const kinds: readonly ((index: number) => string)[] = [
    (index) => `${index}`,
    (index) => `catalog-${index}`,
    (index) => `${index}-eu-west`,
  ];
  const count = 6_000;
  for (const nameOf of kinds) {
    const names = Array.from({ length: count }, (_, index) => nameOf(index));
    for (const shards of [2, 3, 8]) {
      const sizes = new Array<number>(shards).fill(0);
      for (const name of names) sizes[shardOf(name, shards)]! += 1;
      for (const size of sizes)
        assert.ok(Math.abs(size - count / shards) < 0.1 * (count / shards), `${sizes}`);
      const moved = names.filter((name) => shardOf(name, shards) !== shardOf(name, shards + 1)).length;
      assert.ok(
        Math.abs(moved - count / (shards + 1)) < 0.12 * (count / (shards + 1)),
        `${moved} of ${count}`,
      );
    }
  }
});

test("where a name belongs is the same in every version: processes of two versions run side by side", () => {
  const places = ["catalog", "orders", "carts", "a", "b", "web-1"].map((name) => shardOf(name, 5));
  assert.deepEqual(places, [2, 3, 2, 4, 0, 4]);
});

test("a shard is INDEX/COUNT; what makes no sense is none", () => {
  assert.deepEqual(parseShard("0/1"), WHOLE);
  assert.deepEqual(parseShard("2/3"), { index: 2, of: 3 });
  for (const bad of [
    "",
    "1",
    "2/2",
    "3/2",
    "0/0",
    "-1/2",
    "1.5/2",
    "0/2 ",
    "a/b",
    "0/1000",
    `0/${SHARDS_MAX + 1}`,
  ])
    assert.equal(parseShard(bad), undefined, bad);
});
