import assert from "node:assert/strict";
import { test } from "node:test";
import { ROOT_EMPTY } from "@understudy/model/position";
import fc from "fast-check";
import { BLOCK_BYTES, HASH_BYTES } from "./blocks.ts";
import {
  copyManifest,
  difference,
  type Entry,
  emptyManifest,
  hashAt,
  type Manifest,
  removePath,
  rollBack,
  rootOf,
  setBlocks,
  setEntry,
  type UndoLog,
} from "./manifest.ts";
import { GROUP_BLOCKS } from "./root.ts";

type Step =
  | { readonly op: "entry"; readonly path: string; readonly entry: Entry }
  | { readonly op: "block"; readonly path: string; readonly index: number; readonly seed: number }
  | { readonly op: "remove"; readonly path: string };

/** Two groups of blocks and a bit of a third one. */
const BLOCKS_MAX = 2 * GROUP_BLOCKS + 5;
const path = fc.constantFrom("a", "a/b", "c", "d/e/f");
const fileOf = (blocks: number, kind: "file" | "database" = "file"): Entry => ({
  kind,
  mode: 0o644,
  mtimeMs: 0,
  size: blocks * BLOCK_BYTES,
  blockSize: BLOCK_BYTES,
  target: "",
  uid: 0,
  gid: 0,
});
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    op: fc.constant("entry" as const),
    path,
    entry: fc
      .tuple(fc.oneof(fc.nat(12), fc.nat(BLOCKS_MAX)), fc.constantFrom("file" as const, "database" as const))
      .map(([blocks, kind]) => fileOf(blocks, kind)),
  }),
  fc.record({
    op: fc.constant("block" as const),
    path,
    index: fc.oneof(fc.nat(11), fc.nat(BLOCKS_MAX - 1)),
    seed: fc.integer({ min: 1, max: 255 }),
  }),
  fc.record({ op: fc.constant("remove" as const), path }),
);

function take(manifest: Manifest, each: Step, undo?: UndoLog): void {
  const log = undo ? { undo } : {};
  if (each.op === "entry") setEntry(manifest, each.path, { entry: each.entry, ...log });
  if (each.op === "remove") removePath(manifest, each.path, undo);
  if (each.op !== "block") return;
  const held = manifest.entries.get(each.path);
  if (!held || each.index * BLOCK_BYTES >= held.entry.size) return;
  setBlocks(manifest, each.path, {
    indexes: [each.index],
    hashes: Buffer.alloc(HASH_BYTES, each.seed),
    ...log,
  });
}

/** The same state put together from nothing, without any history. */
function rebuilt(manifest: Manifest): Manifest {
  const fresh = emptyManifest();
  for (const [where, held] of manifest.entries) {
    setEntry(fresh, where, { entry: held.entry });
    for (let index = 0; index * BLOCK_BYTES < held.entry.size; index += 1) {
      setBlocks(fresh, where, { indexes: [index], hashes: hashAt(held, index) });
    }
  }
  return fresh;
}

const built = (steps: readonly Step[]) => {
  const manifest = emptyManifest();
  for (const each of steps) take(manifest, each);
  return manifest;
};
const steps = fc.array(step, { maxLength: 40 });

test("the root depends on what is there, not on how it came about", () => {
  fc.assert(
    fc.property(steps, (history) => {
      const manifest = built(history);
      assert.equal(rootOf(manifest), rootOf(rebuilt(manifest)));
      assert.equal(manifest.bytes, rebuilt(manifest).bytes);
    }),
  );
});

test("the root of nothing is empty, also after everything was removed", () => {
  fc.assert(
    fc.property(steps, (history) => {
      const manifest = built(history);
      for (const where of [...manifest.entries.keys()]) removePath(manifest, where);
      assert.equal(rootOf(manifest), ROOT_EMPTY);
      assert.equal(manifest.bytes, 0);
    }),
  );
});

test("where a block lies counts within its group and across groups", () => {
  const hashes = Buffer.alloc(HASH_BYTES, 1);
  const roots = [0, 1, GROUP_BLOCKS - 1, GROUP_BLOCKS, 2 * GROUP_BLOCKS].map((index) => {
    const manifest = emptyManifest();
    setEntry(manifest, "a", { entry: fileOf(BLOCKS_MAX) });
    setBlocks(manifest, "a", { indexes: [index], hashes });
    return rootOf(manifest);
  });
  assert.equal(new Set(roots).size, roots.length);
});

test("a changed block, moved block, size, mode or path changes the root", () => {
  const base = () => {
    const manifest = emptyManifest();
    setEntry(manifest, "a", { entry: fileOf(4) });
    setBlocks(manifest, "a", {
      indexes: [0, 1],
      hashes: Buffer.from([...Buffer.alloc(16, 1), ...Buffer.alloc(16, 2)]),
    });
    return manifest;
  };
  const variants: ((manifest: Manifest) => void)[] = [
    (manifest) => setBlocks(manifest, "a", { indexes: [0], hashes: Buffer.alloc(16, 3) }),
    (manifest) =>
      setBlocks(manifest, "a", {
        indexes: [0, 1],
        hashes: Buffer.from([...Buffer.alloc(16, 2), ...Buffer.alloc(16, 1)]),
      }),
    (manifest) => setEntry(manifest, "a", { entry: { ...fileOf(4), mode: 0o600 } }),
    (manifest) => setEntry(manifest, "a", { entry: { ...fileOf(4), size: 3 * BLOCK_BYTES } }),
    (manifest) => setEntry(manifest, "b", { entry: fileOf(0) }),
  ];
  const roots = variants.map((vary) => {
    const manifest = base();
    vary(manifest);
    return rootOf(manifest);
  });
  assert.equal(new Set([rootOf(base()), ...roots]).size, variants.length + 1);
  const touched = base();
  setEntry(touched, "a", { entry: { ...fileOf(4), mtimeMs: 99 } });
  assert.equal(rootOf(touched), rootOf(base()), "a touch is no change");
});

test("rolling back leads to exactly the state before", () => {
  fc.assert(
    fc.property(steps, steps, (history, later) => {
      const manifest = built(history);
      const before = copyManifest(manifest);
      const undo: UndoLog = [];
      for (const each of later) take(manifest, each, undo);
      rollBack(undo);
      assert.equal(rootOf(manifest), rootOf(before));
      assert.equal(manifest.bytes, before.bytes);
      assert.deepEqual([...difference(manifest, before)], []);
      assert.equal(rootOf(rebuilt(manifest)), rootOf(before));
    }),
  );
});

test("applying the difference leads from one state to the other, and nothing differs then", () => {
  fc.assert(
    fc.property(steps, steps, (one, other) => {
      const [mine, theirs] = [built(one), built(other)];
      for (const each of difference(mine, theirs)) {
        if (each.op === "remove") {
          removePath(theirs, each.path);
          continue;
        }
        setEntry(theirs, each.path, { entry: each.entry });
        for (const index of each.blocks) {
          const hashes = Buffer.from(hashAt(mine.entries.get(each.path)!, index));
          setBlocks(theirs, each.path, { indexes: [index], hashes });
        }
      }
      // Blocks whose hash is unknown are not compared; the root says whether that mattered.
      assert.deepEqual([...difference(mine, theirs)], []);
    }),
  );
});
