/** What readers of a shadow's files see: one whole version or the next, across files, whatever is done or killed meanwhile. */

import assert from "node:assert/strict";
import { hash } from "node:crypto";
import {
  existsSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@understudy/testkit/random";
import { versionedTarget } from "../src/target-versions.ts";
import { lstatIn } from "../src/tree-writer.ts";
import { pinVersion } from "../src/version-pin.ts";
import { READER_GRACE_MS, TREES_MAX } from "../src/versions/next-tree.ts";
import { VERSION_FILE } from "../src/versions/step.ts";
import { attach, caughtUp, openWorld, type World } from "./ends.ts";

const FILES = ["a", "b", "sub/c", "sub/d", "sub/deep/e"];

function write(world: World, round: number): void {
  mkdirSync(world.at("one", "sub/deep"), { recursive: true });
  for (const file of FILES) writeFileSync(world.at("one", file), `${round} `.repeat(3_000));
}

async function roundsIn(folder: string): Promise<Set<string>> {
  const texts = await Promise.all(FILES.map((file) => readFile(join(folder, file), "utf8")));
  return new Set(texts.flatMap((text) => text.trim().split(" ")));
}

async function openPair(t: TestContext, paths = ["."]) {
  const world = await openWorld(t, { paths });
  write(world, 0);
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary();
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  return { world, listener, shadow, primary, state: world.stateOf("two").dir };
}

test("a reader sees one version of all files: with a pin always, without one when it is quick", async (t) => {
  const { world, primary, shadow, state } = await openPair(t);
  let reading = true;
  const seen = new Set<string>();
  const look = async (folder: string) => {
    const rounds = await roundsIn(folder);
    for (const round of rounds) seen.add(round);
    return rounds;
  };
  const resolving = async () => {
    while (reading) {
      const beganMs = performance.now();
      const rounds = await look(realpathSync(state));
      // Without a pin this much is promised, and a busy machine may take longer.
      if (performance.now() - beganMs < READER_GRACE_MS)
        assert.equal(rounds.size, 1, `a mix of ${[...rounds]}`);
    }
  };
  const pinning = async () => {
    while (reading) {
      const pin = await pinVersion(state);
      const rounds = await look(pin.path);
      await pin.release();
      assert.equal(rounds.size, 1, `a mix of ${[...rounds]}`);
    }
  };
  const readers = Promise.all([resolving(), pinning()]);
  for (let round = 1; round <= 40; round += 1) {
    write(world, round);
    await caughtUp(primary, shadow);
  }
  reading = false;
  await readers;
  assert.ok(seen.size > 5, `saw ${seen.size} versions`);
  assert.deepEqual(world.errors, []);
});

test("a pinned version stays as it is, however many follow, and is collected when it is let go", async (t) => {
  const { world, primary, shadow, state } = await openPair(t);
  const pin = await pinVersion(state);
  for (let round = 1; round <= 12; round += 1) {
    write(world, round);
    await caughtUp(primary, shadow);
    await sleep(READER_GRACE_MS / 4);
  }
  await sleep(2 * READER_GRACE_MS);
  write(world, 13);
  await caughtUp(primary, shadow);
  assert.deepEqual(await roundsIn(pin.path), new Set(["0"]));
  assert.deepEqual(await roundsIn(state), new Set(["13"]));
  await pin.release();
  const tree = lstatSync(pin.path).ino;
  for (let round = 14; round <= 40; round += 1) {
    await sleep(READER_GRACE_MS / 4);
    write(world, round);
    await caughtUp(primary, shadow);
  }
  const now = existsSync(pin.path) && lstatSync(pin.path).ino === tree ? await roundsIn(pin.path) : new Set();
  assert.equal(now.has("0"), false, "the tree is used again");
  assert.ok(readdirSync(join(world.dir, "two/work/versions/trees")).length <= TREES_MAX);
});

test("the pin of a reader that died counts no more", async (t) => {
  const { world, primary, shadow, state } = await openPair(t);
  const tree = realpathSync(state).split("/").at(-1);
  const pins = join(world.dir, "two/work/versions/pins");
  writeFileSync(join(pins, `${tree}-999999999-1-1`), "");
  for (let round = 1; round <= 12; round += 1) {
    write(world, round);
    await caughtUp(primary, shadow);
    await sleep(READER_GRACE_MS / 2);
  }
  assert.deepEqual(readdirSync(pins), []);
});

test("a file whose contents stay is not written again", async (t) => {
  const { world, primary, shadow, state } = await openPair(t);
  writeFileSync(world.at("one", "large"), Buffer.alloc(3_000_000, 7));
  await caughtUp(primary, shadow);
  const { ino } = statSync(join(state, "large"));
  for (let round = 1; round <= 5; round += 1) {
    write(world, round);
    await caughtUp(primary, shadow);
    assert.equal(statSync(join(state, "large")).ino, ino, `in version ${round}`);
  }
});

test("single files and folders are shown by versions as well; what is beside them is left alone", async (t) => {
  const world = await openWorld(t, { paths: ["sub", "settings.json", "not/there"] });
  write(world, 1);
  writeFileSync(world.at("one", "settings.json"), "1");
  mkdirSync(world.at("two", "."), { recursive: true });
  writeFileSync(world.at("two", "own.log"), "the shadow's own");
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary();
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  writeFileSync(world.at("one", "settings.json"), "2");
  await caughtUp(primary, shadow);
  assert.equal(readFileSync(world.at("two", "settings.json"), "utf8"), "2");
  assert.equal(readFileSync(world.at("two", "own.log"), "utf8"), "the shadow's own");
  assert.ok(readFileSync(world.at("two", "sub/c"), "utf8").startsWith("1 "));
  const from = await shadow.release();
  for (const path of ["sub", "settings.json"])
    assert.equal(lstatSync(world.at("two", path)).isSymbolicLink(), false);
  assert.equal(readFileSync(world.at("two", "settings.json"), "utf8"), "2");
  const promoted = await world.primary({ name: "two", epoch: 2, from });
  assert.equal(promoted.position().root, primary.position().root);
});

test("promotion makes a plain folder of it, which becomes a shadow's again later", async (t) => {
  const { world, listener, shadow, primary, state } = await openPair(t);
  write(world, 1);
  await caughtUp(primary, shadow);
  await primary.close();
  const from = await shadow.release();
  assert.equal(lstatSync(state).isDirectory(), true);
  const second = await world.primary({ name: "two", epoch: 2, from });
  writeFileSync(join(state, "a"), "2 ".repeat(3_000));
  const one = await world.shadow(listener, { name: "one", incarnation: "i2" });
  attach(second, listener, "one", "i2");
  await caughtUp(second, one);
  assert.ok(readFileSync(world.at("one", "a"), "utf8").startsWith("2 "));
  assert.equal(second.shadows()[0]!.seedBytes, 0, "what it had counts");
});

test("a kill between any two steps of taking a folder over, or of giving it back, loses nothing", async (t) => {
  const world = await openWorld(t);
  write(world, 5);
  const dir = world.stateOf("one").dir;
  const workDir = join(world.dir, "one/work");
  mkdirSync(workDir);
  const open = () =>
    versionedTarget({ dir, roots: ["."], workDir, bootMs: () => 0, onError: (error) => assert.fail(error) });
  const whole = async (when: string) => assert.deepEqual(await roundsIn(dir), new Set(["5"]), when);

  (await open()).close();
  await whole("taken over");
  const tree = realpathSync(dir);
  rmSync(dir);
  (await open()).close();
  await whole("moved, not linked yet");
  rmSync(dir);
  mkdirSync(dir);
  (await open()).close();
  await whole("moved, and an empty folder made in its place");
  await (await open()).handOver();
  await whole("given back");
  assert.equal(existsSync(tree), false);

  (await open()).close();
  const versions = join(workDir, "versions");
  const real = realpathSync(dir);
  rmSync(dir);
  renameSync(real, dir);
  await whole("given back, the versions not gone yet");
  (await open()).close();
  await whole("taken over again");
  rmSync(join(versions, "current"));
  symlinkSync("trees/77", join(versions, "current"));
  renameSync(
    realpathSync(join(versions, "trees", readdirSync(join(versions, "trees"))[0]!)),
    join(world.dir, "kept"),
  );
  rmSync(dir);
  renameSync(join(world.dir, "kept"), dir);
  (await open()).close();
  await whole("a link to a tree that is gone");
});

const EMPTY = { removes: [], paths: new Map() };
const AT = { epoch: 1, version: 1, hlc: { wallMs: 0, counter: 0 }, root: "" };
const nothing = () => assert.fail("nothing is to be read");

test("a restart takes no version away from those who read it, and one half made is for nobody", async (t) => {
  const world = await openWorld(t);
  write(world, 5);
  const dir = world.stateOf("one").dir;
  const workDir = join(world.dir, "one/work");
  let nowMs = 1_000;
  const options = { dir, roots: ["."], workDir, bootMs: () => nowMs, onError: assert.ifError };
  const first = await versionedTarget(options);
  const before = realpathSync(dir);
  await first.apply(EMPTY, nothing, AT);
  first.close();
  const versions = join(workDir, "versions");
  mkdirSync(join(versions, "trees/9"));
  writeFileSync(join(versions, "doomed/9"), "");

  const second = await versionedTarget(options);
  assert.deepEqual(await roundsIn(before), new Set(["5"]), "left just before the restart");
  assert.ok(existsSync(join(versions, "doomed/9")), "whoever pins it still finds the mark");
  await second.apply(EMPTY, nothing, AT);
  assert.deepEqual(await roundsIn(before), new Set(["5"]));
  const pin = await pinVersion(dir);
  await second.apply(EMPTY, nothing, AT);
  second.close();

  const third = await versionedTarget(options);
  nowMs += READER_GRACE_MS;
  for (let version = 0; version < 3; version += 1) await third.apply(EMPTY, nothing, AT);
  assert.deepEqual(await roundsIn(pin.path), new Set(["5"]), "pinned over a restart");
  for (const gone of [before, join(versions, "trees/9"), join(versions, "doomed/9")])
    assert.equal(existsSync(gone), false, gone);
  await pin.release();
  await third.apply(EMPTY, nothing, AT);
  assert.equal(existsSync(pin.path), false, "let go");
  third.close();
});

test("whatever becomes what over many versions, the newest is the state", async (t) => {
  const { world, primary, shadow, state } = await openPair(t);
  const one = world.stateOf("one").dir;
  const listing = (top: string): string[] =>
    readdirSync(top, { recursive: true, withFileTypes: true })
      .filter(({ name }) => name !== VERSION_FILE)
      .map((each) => {
        const path = join(each.parentPath, each.name);
        const { mode, uid } = lstatSync(path);
        const holds = each.isFile()
          ? hash("sha256", readFileSync(path))
          : each.isSymbolicLink() && readlinkSync(path);
        return JSON.stringify([path.slice(top.length), mode, uid, holds]);
      })
      .sort();
  const random = seededRandom(4);
  const pick = (from: readonly string[]) => random.pick(from);
  const names = ["x", "y", "x/1", "x/2", "y/1", "x/1/deep"];
  for (let round = 0; round < 60; round += 1) {
    // A folder that goes and comes within one seal is the scrub's business (watches.ts), not that of versions.
    const gone = new Set<string>();
    for (let change = 0; change < 3; change += 1) {
      const at = join(one, pick(names));
      if (gone.has(at)) continue;
      if (!lstatIn(dirname(at))?.isDirectory()) continue;
      const dice = random.next();
      if (dice < 0.75 && lstatIn(at)?.isDirectory()) gone.add(at);
      if (dice < 0.75) rmSync(at, { recursive: true, force: true });
      if (dice < 0.3) writeFileSync(at, `${round}`.repeat(1 + Math.floor(random.next() * 90_000)));
      else if (dice < 0.55 && !gone.has(at)) mkdirSync(at, { mode: pick(["700", "755"]) });
      else if (dice < 0.65) symlinkSync("a", at);
      else if (dice > 0.75 && lstatIn(at)?.isFile()) writeFileSync(at, "z", { flag: "a" });
      if (process.geteuid?.() === 0 && dice < 0.2) lchownSync(at, round, round);
    }
    await caughtUp(primary, shadow);
    assert.deepEqual(listing(realpathSync(state)), listing(one), `round ${round}`);
  }
  assert.ok(readdirSync(join(world.dir, "two/work/versions/trees")).length > 2, "made in several trees");
  assert.deepEqual(world.errors, []);
});
