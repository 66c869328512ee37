/** Faults of disks, files, clocks and peers: one clear error or recovery by itself, and never a torn or silently stale shadow. */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { systemClock } from "@understudy/service/clock";
import type { MirrorError } from "../src/error.ts";
import { attach, caughtUp, openWorld, until, type World } from "./ends.ts";
import { startShadow } from "./start-shadow.ts";

const HOUR_MS = 3_600_000;
const NOBODY = 65_534;
/** Of the kernel, with the end of the text. */
const PATH_BYTES = 4_096;

const codes = (world: World) => world.errors.map((error) => (error as MirrorError).code);

async function openPair(t: TestContext, options: Parameters<World["primary"]>[0] = {}) {
  const world = await openWorld(t);
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary(options);
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  return { world, listener, shadow, primary };
}

test("a primary whose own disk is full says so, and what it could not number arrives when there is room", async (t) => {
  const world = await openWorld(t);
  const work = join(world.dir, "one", "work");
  mkdirSync(work, { recursive: true });
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", work], { stdio: "ignore" });
  } catch {
    return t.skip("needs the right to mount a small file system");
  }
  world.own({ close: async () => void execFileSync("umount", ["-l", work]) });
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary();
  attach(primary, listener, "two");
  const { version } = await caughtUp(primary, shadow);
  // Its place is on disk already: only one that has to be allocated anew can meet a full disk.
  truncateSync(join(work, "bookmark"), 0);
  assert.throws(() => writeFileSync(join(work, "ballast"), Buffer.alloc(400_000)), { code: "ENOSPC" });
  writeFileSync(world.at("one", "file"), "written while the disk was full");
  await until("it is reported", () => codes(world).includes("disk-full"));
  await sleep(200);
  assert.deepEqual(codes(world), ["disk-full"], "once");
  assert.equal(shadow.visible().version, version);
  rmSync(join(work, "ballast"));
  await until("it is there, and nobody asked", () => shadow.visible().version > version);
  assert.equal(readFileSync(world.at("two", "file"), "utf8"), "written while the disk was full");
});

test("a file that may not be read is reported once, the rest goes on, and it arrives when it may be read", async (t) => {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid!(NOBODY);
  t.after(() => isRoot && process.seteuid!(0));
  const { world, shadow, primary } = await openPair(t);
  const secret = world.at("one", "secret");
  writeFileSync(secret, "old");
  await caughtUp(primary, shadow);
  chmodSync(secret, 0o200);
  writeFileSync(secret, "new");
  writeFileSync(world.at("one", "other"), "other");
  await caughtUp(primary, shadow);
  assert.equal(readFileSync(world.at("two", "other"), "utf8"), "other");
  writeFileSync(secret, "newer");
  await caughtUp(primary, shadow);
  const about = (path: string) => world.errors.filter(({ message }) => message.includes(path));
  assert.equal(about("secret").length, 1, String(world.errors));
  assert.match(about("secret")[0]!.message, /reading secret: EACCES/);
  chmodSync(secret, 0o600);
  await until("it is there", () => {
    const at = world.at("two", "secret");
    return existsSync(at) && readFileSync(at, "utf8") === "newer";
  });
});

test("files that vanish, come back and grow while they are read leave a shadow that is the same in the end", async (t) => {
  const { world, shadow, primary } = await openPair(t);
  const at = (name: number) => world.at("one", `file-${name}`);
  let writing = true;
  const writer = (async () => {
    for (let round = 0; writing; round += 1) {
      const name = round % 5;
      if (round % 3 === 0) rmSync(at(name), { force: true });
      else writeFileSync(at(name), randomBytes(100_000), { flag: round % 2 === 0 ? "a" : "w" });
      await sleep(1);
    }
  })();
  for (let round = 0; round < 6; round += 1) await caughtUp(primary, shadow);
  writing = false;
  await writer;
  await caughtUp(primary, shadow);
  for (let name = 0; name < 5; name += 1) {
    const copy = world.at("two", `file-${name}`);
    assert.equal(existsSync(copy), existsSync(at(name)));
    if (existsSync(copy)) assert.ok(readFileSync(copy).equals(readFileSync(at(name))));
  }
  assert.deepEqual(world.errors, []);
});

test("a path too long for the shadow's folder is one clear error, the version before stays, and a shorter one heals it", async (t) => {
  const { world, shadow, primary } = await openPair(t);
  writeFileSync(world.at("one", "file"), "one version");
  const { version } = await caughtUp(primary, shadow);
  // As long as the kernel takes here; the shadow keeps its trees deeper.
  const room = PATH_BYTES - 1 - Buffer.byteLength(world.at("one", "x"));
  const folder = Array.from({ length: Math.floor(room / 201) }, () => "d".repeat(200)).join("/");
  mkdirSync(world.at("one", folder), { recursive: true });
  const name = `${folder}/${"n".repeat(room - folder.length - 1)}`;
  writeFileSync(world.at("one", name), "too deep");
  writeFileSync(world.at("one", "file"), "the next version");
  const { version: next } = await primary.seal();
  await until("it is reported", () => world.errors.length > 0);
  assert.match(world.errors[0]!.message, /applying to two: ENAMETOOLONG/);
  assert.equal(readFileSync(world.at("two", "file"), "utf8"), "one version", "one or the other, not a part");
  assert.ok(shadow.visible().version <= version);
  assert.ok(
    primary.shadows()[0]!.lagVersions > 0 && primary.shadows()[0]!.lagMs > 0,
    "it is said to be late",
  );
  renameSync(world.at("one", folder.split("/")[0]!), join(world.dir, "away"));
  const healed = await caughtUp(primary, shadow);
  assert.ok(healed.version > next);
  assert.equal(readFileSync(world.at("two", "file"), "utf8"), "the next version");
});

test("a clock that jumps an hour back goes on without a gap; one that jumps ahead of the shadow's is refused, and said so", async (t) => {
  let offsetMs = 0;
  const clock = { ...systemClock, nowMs: () => Date.now() + offsetMs };
  const { world, shadow, primary } = await openPair(t, { clock });
  const write = (text: string) => writeFileSync(world.at("one", "file"), text);
  const { version, hlc } = await caughtUp(primary, shadow);
  offsetMs = -HOUR_MS;
  write("an hour ago");
  const back = await caughtUp(primary, shadow);
  assert.equal(back.version, version + 1);
  assert.ok(back.hlc.wallMs >= hlc.wallMs, "time as versions have it never goes back");
  offsetMs = HOUR_MS;
  write("in an hour");
  await primary.seal();
  await until("it is refused", () => codes(world).includes("clock"));
  assert.equal(readFileSync(world.at("two", "file"), "utf8"), "an hour ago");
  assert.equal(shadow.visible().version, back.version);
  await until("it is said to be late", () => primary.shadows()[0]!.lagVersions === 1);
});

test("a shadow that says nothing is given up, is late meanwhile, and catches up when it goes on", async (t) => {
  const world = await openWorld(t);
  const shadow = await startShadow(t, world, { name: "two" });
  const primary = await world.primary();
  primary.attach({ instance: "two", incarnation: "i1", address: `127.0.0.1:${shadow.port}` });
  writeFileSync(world.at("one", "file"), "before");
  const { version } = await primary.seal();
  await until("it is there", () => shadow.at().visible.version >= version);
  shadow.process.kill("SIGSTOP");
  try {
    writeFileSync(world.at("one", "file"), "while it was silent");
    const { version: next } = await primary.seal();
    assert.equal(await primary.waitDurable(next, ["two"], AbortSignal.timeout(300)), false);
    await until("it is given up", () => primary.shadows()[0]!.phase !== "live");
    const [progress] = primary.shadows();
    assert.ok(progress!.lagMs > 1_000 && progress!.lagVersions > 0, JSON.stringify(progress));
  } finally {
    shadow.process.kill("SIGCONT");
  }
  const { version: last } = await primary.seal();
  await until("it is there", () => shadow.at().visible.version >= last);
  assert.equal(readFileSync(world.at("two", "file"), "utf8"), "while it was silent");
});
