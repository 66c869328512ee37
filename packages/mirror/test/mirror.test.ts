/** A mirror of files over real TLS: seed, deltas, several shadows, and whatever files can do. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import { attach, caughtUp, openWorld, until } from "./ends.ts";

test("a new shadow is seeded and shows every later change", async (t) => {
  const world = await openWorld(t);
  mkdirSync(world.at("one", "a/b"), { recursive: true });
  writeFileSync(world.at("one", "a/b/file"), Buffer.alloc(10_000, 1));
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  assert.equal(shadow.seeded(), false);
  attach(primary, listener, "two");
  await until("seeded", () => shadow.seeded());
  assert.deepEqual(readFileSync(world.at("two", "a/b/file")), Buffer.alloc(10_000, 1));
  const [seeded] = primary.shadows();
  assert.ok(seeded!.seedBytes > 10_000 && seeded!.seedBytes < 11_000);

  appendFileSync(world.at("one", "a/b/file"), "more");
  writeFileSync(world.at("one", "new"), "new");
  await caughtUp(primary, shadow);
  assert.equal(readFileSync(world.at("two", "a/b/file")).subarray(-4).toString(), "more");
  assert.equal(readFileSync(world.at("two", "new"), "utf8"), "new");
  assert.deepEqual(shadow.visible(), primary.position());
  await until(
    "live",
    () => primary.shadows()[0]!.phase === "live" && primary.shadows()[0]!.lagVersions === 0,
  );
  assert.deepEqual(world.errors, []);
});
