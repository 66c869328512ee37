import assert from "node:assert/strict";
import { test } from "node:test";
import type { Entry } from "./manifest.ts";
import { foldChanges, type Staged } from "./plan.ts";

const entry = (size: number): Entry => ({
  kind: "file",
  mode: 0,
  mtimeMs: 0,
  size,
  blockSize: 4096,
  target: "",
  uid: 0,
  gid: 0,
});
const put = (path: string, size = 0): Staged => ({ op: "entry", path, entry: entry(size) });
const blocks = (path: string, offset: number): Staged => ({
  op: "blocks",
  path,
  slot: { offset, length: 1 },
});
const keyed = (path: string, offset: number, key: string): Staged => ({
  op: "blocks",
  path,
  slot: { offset, length: 1 },
  blocks: key,
});
const remove = (path: string): Staged => ({ op: "remove", path });

test("deltas that follow each other become the last word on each path", () => {
  const plan = foldChanges([put("a", 1), blocks("a", 10), put("b"), put("a", 2), blocks("a", 20)]);
  assert.deepEqual([...plan.paths.keys()], ["a", "b"]);
  assert.deepEqual(plan.paths.get("a"), {
    entry: entry(2),
    fresh: false,
    slots: [
      { offset: 10, length: 1 },
      { offset: 20, length: 1 },
    ],
  });
  assert.deepEqual(plan.removes, []);
});

test("what is removed and made again starts from nothing", () => {
  const plan = foldChanges([put("a"), blocks("a", 10), remove("a"), put("a", 3), blocks("a", 30)]);
  assert.deepEqual(plan.paths.get("a"), { entry: entry(3), fresh: true, slots: [{ offset: 30, length: 1 }] });
  assert.deepEqual(plan.removes, ["a"]);
});

test("removals go from the leaves up, additions from the top down", () => {
  const plan = foldChanges([remove("x"), remove("x/y"), remove("x/y/z"), put("m/n/o"), put("m"), put("m/n")]);
  assert.deepEqual(plan.removes, ["x/y/z", "x/y", "x"]);
  assert.deepEqual([...plan.paths.keys()], ["m", "m/n", "m/n/o"]);
});

test("what is made and removed within is removed", () => {
  const plan = foldChanges([put("a"), remove("a")]);
  assert.deepEqual(plan, { removes: ["a"], paths: new Map() });
});

test("of what was written to the same blocks only the last is read, and after what came between", () => {
  const changes = [
    keyed("a", 10, "0"),
    keyed("a", 20, "0,1"),
    keyed("a", 30, "0"),
    blocks("a", 40),
    blocks("a", 50),
  ];
  const { slots } = foldChanges([put("a", 1), ...changes, keyed("b", 60, "0")]).paths.get("a")!;
  assert.deepEqual(
    slots.map(({ offset }) => offset),
    [20, 30, 40, 50],
  );
});
