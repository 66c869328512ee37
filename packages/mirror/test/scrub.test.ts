/** What the watches do not tell is found by the scrub: here a write through a hard link outside the state. */

import assert from "node:assert/strict";
import { linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { rootOf } from "../src/manifest.ts";
import { captureTree, scanTree } from "../src/tree.ts";
import { openWorld, until } from "./ends.ts";

test("a change the watches cannot see is found by the scrub", async (t) => {
  const world = await openWorld(t);
  const outside = join(world.dir, "outside");
  writeFileSync(outside, "before");
  linkSync(outside, world.at("one", "file"));
  const onError = (error: Error) => void world.errors.push(error);
  const { dir } = world.stateOf("one");
  const capture = await captureTree({
    dir,
    roots: ["."],
    workDir: join(world.dir, "work"),
    nowMs: Date.now,
    scrubMs: 50,
    onError,
  });
  t.after(() => capture.close());
  await until("a file written just now has settled", async () => {
    await capture.take();
    return !capture.pending();
  });
  writeFileSync(outside, "after!");
  await until("the scrub finds it", () => capture.pending());
  const { changes } = await capture.take();
  assert.deepEqual(
    changes?.map(({ op, path }) => `${op} ${path}`),
    ["entry file", "blocks file"],
  );
  assert.equal(rootOf(capture.manifest), rootOf(await scanTree({ dir, roots: ["."], onError })));
  assert.deepEqual(world.errors, []);
});

test("a folder that is removed and made again, or replaced by another, before anybody looks is watched as the new one", async (t) => {
  const world = await openWorld(t);
  const { dir } = world.stateOf("one");
  const onError = (error: Error) => void world.errors.push(error);
  const folder = world.at("one", "folder");
  mkdirSync(folder);
  const capture = await captureTree({
    dir,
    roots: ["."],
    workDir: join(world.dir, "work"),
    nowMs: Date.now,
    scrubMs: 3_600_000,
    onError,
  });
  t.after(() => capture.close());
  const replacements = [
    () => {
      rmSync(folder, { recursive: true });
      mkdirSync(folder);
    },
    () => {
      const other = join(world.dir, "other");
      mkdirSync(other);
      renameSync(folder, join(world.dir, "old"));
      renameSync(other, folder);
    },
  ];
  for (const [round, replace] of replacements.entries()) {
    replace();
    await capture.take();
    writeFileSync(join(folder, `after-${round}`), "new");
    await until("the new file is heard of", () => capture.pending());
    await until("and captured", async () => {
      await capture.take();
      return capture.manifest.entries.has(`folder/after-${round}`);
    });
  }
  await until("all of it is captured", async () => {
    await capture.take();
    return rootOf(capture.manifest) === rootOf(await scanTree({ dir, roots: ["."], onError }));
  });
  assert.deepEqual(world.errors, []);
});
