/** A mirror of files over real TLS: seed, deltas, several shadows, and whatever files can do. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { attach, caughtUp, openWorld, until } from "./ends.ts";

test("a new shadow is seeded and shows every later change", async (t) => {
  const world = await openWorld(t);
  mkdirSync(world.at("one", "a/b"), { recursive: true });
  const contents = randomBytes(10_000);
  writeFileSync(world.at("one", "a/b/file"), contents);
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  assert.equal(shadow.seeded(), false);
  attach(primary, listener, "two");
  await until("seeded", () => shadow.seeded());
  assert.deepEqual(readFileSync(world.at("two", "a/b/file")), contents);
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

test("renames, removals, modes, links and truncations arrive as they are", async (t) => {
  const world = await openWorld(t);
  const one = (path: string) => world.at("one", path);
  const two = (path: string) => world.at("two", path);
  mkdirSync(one("folder/deep"), { recursive: true });
  for (const name of ["folder/deep/x", "folder/y", "cut", "gone", "swap"])
    writeFileSync(one(name), name.repeat(3000));
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);

  renameSync(one("folder"), one("moved"));
  chmodSync(one("moved/y"), 0o640);
  chmodSync(one("moved"), 0o750);
  truncateSync(one("cut"), 5_000);
  rmSync(one("gone"));
  rmSync(one("swap"));
  mkdirSync(one("swap"));
  writeFileSync(one("swap/inside"), "a folder where a file was");
  symlinkSync("deep/x", one("moved/link"));
  await caughtUp(primary, shadow);

  assert.equal(existsSync(two("folder")), false);
  assert.equal(readFileSync(two("moved/deep/x"), "utf8"), "folder/deep/x".repeat(3000));
  assert.equal(statSync(two("moved/y")).mode & 0o7777, 0o640);
  assert.equal(statSync(two("moved")).mode & 0o7777, 0o750);
  assert.equal(readFileSync(two("cut"), "utf8"), "cut".repeat(3000).slice(0, 5_000));
  assert.equal(existsSync(two("gone")), false);
  assert.equal(readFileSync(two("swap/inside"), "utf8"), "a folder where a file was");
  assert.equal(readlinkSync(two("moved/link")), "deep/x");

  rmSync(one("swap"), { recursive: true });
  rmSync(one("moved/link"));
  writeFileSync(one("moved/link"), "now a file");
  await caughtUp(primary, shadow);
  assert.equal(existsSync(two("swap")), false);
  assert.equal(readFileSync(two("moved/link"), "utf8"), "now a file");
  assert.deepEqual(world.errors, []);
});

test("files made in folders that have just appeared are not missed", async (t) => {
  const world = await openWorld(t);
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  for (let round = 0; round < 20; round += 1) {
    mkdirSync(world.at("one", `${round}/sub`), { recursive: true });
    writeFileSync(world.at("one", `${round}/sub/first`), `${round}`);
    if (round % 3 === 0) await turn();
    writeFileSync(world.at("one", `${round}/sub/second`), `${round}`);
  }
  await caughtUp(primary, shadow);
  for (let round = 0; round < 20; round += 1) {
    assert.equal(readFileSync(world.at("two", `${round}/sub/second`), "utf8"), `${round}`);
  }
});

test("several shadows follow one primary, one of them late", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "file"), "first");
  const primary = await world.primary();
  const listener = await world.listen();
  const shadows = [];
  for (const name of ["two", "three"]) {
    const shadow = await world.shadow(listener, { name });
    attach(primary, listener, name);
    shadows.push(shadow);
  }
  for (let round = 0; round < 30; round += 1) {
    writeFileSync(world.at("one", "file"), `round ${round}`);
    await primary.seal();
  }
  const late = await world.shadow(listener, { name: "four" });
  attach(primary, listener, "four");
  writeFileSync(world.at("one", "file"), "last");
  for (const shadow of [...shadows, late]) await caughtUp(primary, shadow);
  for (const name of ["two", "three", "four"])
    assert.equal(readFileSync(world.at(name, "file"), "utf8"), "last");
  assert.deepEqual(
    primary.shadows().map(({ instance }) => instance),
    ["two", "three", "four"],
  );
  primary.detach("three");
  assert.deepEqual(
    primary.shadows().map(({ instance }) => instance),
    ["two", "four"],
  );
});

test("a seal includes whatever was written before it, and those who ask together share it", async (t) => {
  const world = await openWorld(t);
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  const before = primary.position().version;
  for (let round = 0; round < 50; round += 1) {
    writeFileSync(world.at("one", "file"), `${round}`);
    const { version } = await primary.seal();
    assert.ok(await primary.waitDurable(version, ["two"], AbortSignal.timeout(5_000)));
    await until("visible", () => shadow.visible().version >= version);
    assert.equal(readFileSync(world.at("two", "file"), "utf8"), `${round}`);
  }
  const sealed = primary.position().version;
  assert.ok(sealed - before <= 51, `${sealed - before} versions for 50 changes`);
  writeFileSync(world.at("one", "file"), "together");
  const together = await Promise.all(Array.from({ length: 20 }, () => primary.seal()));
  assert.equal(new Set(together.map(({ version }) => version)).size, 1);
});

test("nothing is sealed when nothing changed, and a mere touch is nothing", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "file"), "same");
  const primary = await world.primary();
  const before = primary.position();
  utimesSync(world.at("one", "file"), 1, 1);
  writeFileSync(world.at("one", "file"), "same");
  assert.deepEqual(await primary.seal(), before);
});

test("changes nobody waits for are sealed by the tick", async (t) => {
  const world = await openWorld(t);
  const primary = await world.primary();
  const before = primary.position().version;
  writeFileSync(world.at("one", "file"), "x");
  await until("sealed", () => primary.position().version > before);
});

test("only the mirrored paths are mirrored", async (t) => {
  const world = await openWorld(t, { paths: ["data/kept", "single"] });
  mkdirSync(world.at("one", "data/other"), { recursive: true });
  writeFileSync(world.at("one", "data/other/file"), "not ours");
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  mkdirSync(world.at("one", "data/kept"));
  writeFileSync(world.at("one", "data/kept/file"), "ours");
  writeFileSync(world.at("one", "single"), "ours too");
  writeFileSync(world.at("one", "stray"), "not ours");
  await caughtUp(primary, shadow);
  assert.equal(readFileSync(world.at("two", "data/kept/file"), "utf8"), "ours");
  assert.equal(readFileSync(world.at("two", "single"), "utf8"), "ours too");
  assert.equal(existsSync(world.at("two", "stray")), false);
  assert.equal(existsSync(world.at("two", "data/other")), false);
});

test("a link that leads out of the state is reported and left out", async (t) => {
  const world = await openWorld(t);
  symlinkSync("/etc/passwd", world.at("one", "outer"));
  symlinkSync("file", world.at("one", "inner"));
  writeFileSync(world.at("one", "file"), "x");
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  assert.equal(readlinkSync(world.at("two", "inner")), "file");
  assert.equal(existsSync(world.at("two", "outer")), false);
  assert.match(
    world.errors.map(({ message }) => message).join(),
    /outer leads out of the state to "\/etc\/passwd"/,
  );
});

test("a change too large to hold reaches the shadow by its hashes", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "large"), Buffer.alloc(1024, 1));
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  const large = Buffer.alloc(70 * 1024 * 1024);
  for (let at = 0; at < large.length; at += 4096) large.writeUInt32LE(at, at);
  writeFileSync(world.at("one", "large"), large);
  await caughtUp(primary, shadow);
  assert.ok(readFileSync(world.at("two", "large")).equals(large));
});

test("writes during a seed end up on the shadow", async (t) => {
  const world = await openWorld(t);
  const block = (seed: number) => Buffer.alloc(512 * 1024, seed);
  for (let file = 0; file < 12; file += 1) writeFileSync(world.at("one", `${file}`), block(file));
  const primary = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(primary, listener, "two");
  for (let round = 0; !shadow.seeded(); round += 1) {
    writeFileSync(world.at("one", `${round % 12}`), block(round + 100));
    if (round % 5 === 0) rmSync(world.at("one", `${(round + 7) % 12}`), { force: true });
    await turn();
  }
  await caughtUp(primary, shadow);
  for (let file = 0; file < 12; file += 1) {
    assert.equal(existsSync(world.at("two", `${file}`)), existsSync(world.at("one", `${file}`)), `${file}`);
    if (!existsSync(world.at("one", `${file}`))) continue;
    assert.ok(
      readFileSync(world.at("two", `${file}`)).equals(readFileSync(world.at("one", `${file}`))),
      `${file}`,
    );
  }
});
