/** What has moved, within a file or to another name, reaches a shadow without its contents, and exactly. */

import assert from "node:assert/strict";
import { hash, randomBytes } from "node:crypto";
import {
  appendFileSync,
  chmodSync,
  existsSync,
  globSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { seededRandom } from "@understudy/testkit/random";
import type { MirrorPrimary, MirrorShadow } from "../src/engine.ts";
import { VERSION_FILE } from "../src/versions/step.ts";
import { attach, caughtUp, openWorld, type World } from "./ends.ts";

type Pair = {
  world: World;
  primary: MirrorPrimary;
  shadow: MirrorShadow;
  /** Bytes of deltas that the last change took. */
  cost: (change: () => void) => Promise<number>;
};

async function openPair(t: TestContext, fill: (at: (path: string) => string) => void): Promise<Pair> {
  const world = await openWorld(t);
  fill((path) => world.at("one", path));
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary();
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  const deltaBytes = () => primary.shadows()[0]!.deltaBytes;
  return {
    world,
    primary,
    shadow,
    async cost(change) {
      const before = deltaBytes();
      change();
      await caughtUp(primary, shadow);
      assert.equal(shadow.visible().root, primary.position().root);
      assertSame(world);
      return deltaBytes() - before;
    },
  };
}

function contentsOf(folder: string): Map<string, string> {
  const all = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
  const names = all.filter((name) => name !== VERSION_FILE);
  return new Map(
    names.map((name) => {
      const stats = lstatSync(join(folder, name));
      return [name, stats.isFile() ? hash("sha256", readFileSync(join(folder, name))) : "folder"];
    }),
  );
}

function assertSame(world: World): void {
  assert.deepEqual(contentsOf(world.at("two", "")), contentsOf(world.at("one", "")));
}

test("a byte inserted at the head of a file does not send the file again", async (t) => {
  const contents = randomBytes(6 * 1024 * 1024 + 5);
  const { world, cost } = await openPair(t, (at) => writeFileSync(at("file"), contents));
  const file = world.at("one", "file");
  assert.ok((await cost(() => writeFileSync(file, Buffer.concat([Buffer.from("x"), contents])))) < 20_000);
  assert.ok((await cost(() => writeFileSync(file, contents.subarray(9_999)))) < 20_000, "a cut");
  const middle = Buffer.concat([
    contents.subarray(9_999, 3_000_000),
    randomBytes(77),
    contents.subarray(3_000_000),
  ]);
  assert.ok((await cost(() => writeFileSync(file, middle))) < 30_000, "in the middle");
  assert.deepEqual(globSync(join(world.dir, "two/work/versions/drafts/*/staging/*")), []);
});

test("an insertion that is too large for memory in the old way is found too", async (t) => {
  const contents = randomBytes(70 * 1024 * 1024);
  const { world, cost } = await openPair(t, (at) => writeFileSync(at("file"), contents));
  const changed = Buffer.concat([Buffer.from("x"), contents]);
  assert.ok((await cost(() => writeFileSync(world.at("one", "file"), changed))) < 20_000);
});

test("renames of files and folders cost names", async (t) => {
  const { world, cost } = await openPair(t, (at) => {
    mkdirSync(at("many/deep"), { recursive: true });
    for (let file = 0; file < 60; file += 1) writeFileSync(at(`many/f${file}`), randomBytes(5_000));
    writeFileSync(at("many/deep/large"), randomBytes(900_000));
  });
  const at = (path: string) => world.at("one", path);
  const files = await cost(() => {
    for (let file = 0; file < 60; file += 1) renameSync(at(`many/f${file}`), at(`many/g${file}`));
  });
  assert.ok(files < 6_000, `${files} bytes for 60 renamed files`);
  const folder = await cost(() => renameSync(at("many"), at("other")));
  assert.ok(folder < 8_000, `${folder} bytes for a renamed folder`);
  assert.ok((await cost(() => renameSync(at("other/deep/large"), at("large")))) < 1_000);
  assert.ok((await cost(() => chmodSync(at("large"), 0o600))) < 1_000);
  assert.deepEqual(globSync(join(world.dir, "two/work/versions/drafts/*/staging/*")), []);
});

test("files that change places, a log that is rotated, a file renamed and written on", async (t) => {
  const { world, cost } = await openPair(t, (at) => {
    for (const name of ["a", "b", "log"]) writeFileSync(at(name), randomBytes(400_000));
  });
  const at = (path: string) => world.at("one", path);
  const swap = await cost(() => {
    renameSync(at("a"), at("c"));
    renameSync(at("b"), at("a"));
    renameSync(at("c"), at("b"));
  });
  assert.ok(swap < 900_000);
  const rotation = await cost(() => {
    renameSync(at("log"), at("log.1"));
    writeFileSync(at("log"), randomBytes(3_000));
  });
  assert.ok(rotation < 5_000, `${rotation} bytes for a rotated log`);
  const written = await cost(() => {
    renameSync(at("log.1"), at("log.2"));
    appendFileSync(at("log.2"), randomBytes(1_000));
  });
  assert.ok(written < 7_000, `${written} bytes for a file renamed and written on`);
});

test("whatever moves where at once, the shadow holds the same", async (t) => {
  const random = seededRandom(5);
  const pick = (count: number) => random.integer(0, count);
  const { world, cost } = await openPair(t, (at) => {
    for (const folder of ["x", "y"]) mkdirSync(at(folder));
    for (let file = 0; file < 12; file += 1)
      writeFileSync(at(`${file % 2 ? "x" : "y"}/f${file}`), randomBytes(pick(300_000)));
  });
  const root = world.at("one", "");
  for (let round = 0; round < 12; round += 1) {
    await cost(() => {
      for (let step = 0; step < 6; step += 1) {
        const names = [...contentsOf(root)].filter(([, kind]) => kind !== "folder").map(([name]) => name);
        const file = join(root, names[pick(names.length)]!);
        const other = join(root, `${pick(2) ? "x" : "y"}/n${pick(8)}`);
        const contents = readFileSync(file);
        const at = pick(contents.length + 1);
        const actions = [
          () => renameSync(file, other),
          () => renameSync(file, other),
          () => writeFileSync(other, contents),
          () =>
            writeFileSync(
              file,
              Buffer.concat([contents.subarray(0, at), randomBytes(pick(99)), contents.subarray(at)]),
            ),
          () => truncateSync(file, at),
          () => names.length > 6 && rmSync(file),
        ];
        actions[pick(actions.length)]!();
      }
    });
  }
});

test("what moved while a shadow was away costs no contents either", async (t) => {
  const contents = randomBytes(4 * 1024 * 1024 + 9);
  const world = await openWorld(t);
  const at = (path: string) => world.at("one", path);
  mkdirSync(at("many"));
  for (let file = 0; file < 90; file += 1) writeFileSync(at(`many/f${file}`), randomBytes(9_000));
  writeFileSync(at("large"), contents);
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const first = await world.primary();
  attach(first, listener, "two");
  await caughtUp(first, shadow);
  await first.close();
  renameSync(at("many"), at("moved"));
  writeFileSync(
    at("large"),
    Buffer.concat([randomBytes(3), contents.subarray(0, 2_000_000), contents.subarray(2_000_111)]),
  );
  writeFileSync(at("new"), randomBytes(300_000));
  const second = await world.primary();
  attach(second, listener, "two");
  await caughtUp(second, shadow);
  assertSame(world);
  const { deltaBytes } = second.shadows()[0]!;
  assert.ok(deltaBytes < 360_000, `${deltaBytes} bytes`);
});

test("holes are neither sent nor allocated", async (t) => {
  const { world, primary, cost } = await openPair(t, (at) => {
    writeFileSync(at("sparse"), randomBytes(8_192));
    truncateSync(at("sparse"), 40 * 1024 * 1024);
  });
  assert.ok(primary.shadows()[0]!.seedBytes < 20_000, "the seed");
  const allocated = () => lstatSync(world.at("two", "sparse")).blocks * 512;
  assert.ok(allocated() < 200_000, `${allocated()} bytes`);
  assert.ok((await cost(() => appendFileSync(world.at("one", "sparse"), randomBytes(5_000)))) < 12_000);
  assert.ok(allocated() < 200_000, `${allocated()} bytes after a change`);
  assert.ok((await cost(() => truncateSync(world.at("one", "sparse"), 90 * 1024 * 1024))) < 12_000);
  assert.ok(allocated() < 200_000, `${allocated()} bytes after it grew`);
  const zeros = await cost(() =>
    writeFileSync(world.at("one", "sparse"), Buffer.alloc(8_192), { flag: "r+" }),
  );
  assert.ok(zeros < 2_000, `${zeros} bytes for zeros over contents`);
  assert.equal(existsSync(world.at("two", "sparse")), true);
});
