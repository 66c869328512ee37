/** What the watches do not tell is found by the scrub: here a write through a hard link outside the state. */

import assert from "node:assert/strict";
import { linkSync, writeFileSync } from "node:fs";
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
