/** A shadow's tree is the primary's in more than contents: owners, odd names, and what cannot be mirrored is said once. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { VERSION_FILE } from "../src/versions/step.ts";
import { attach, caughtUp, openWorld, until } from "./ends.ts";

async function openPair(t: TestContext, options: Parameters<typeof openWorld>[1] & { tickMs?: number } = {}) {
  const world = await openWorld(t, options);
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary(options.tickMs === undefined ? {} : { tickMs: options.tickMs });
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  return { world, shadow, primary };
}

test("owners are mirrored where the shadow may give files away", async (t) => {
  if (process.geteuid?.() !== 0) return t.skip("needs root to own files as others");
  const { world, shadow, primary } = await openPair(t);
  const ownerOf = (path: string) => {
    const { uid, gid } = lstatSync(world.at("two", path));
    return [uid, gid];
  };
  mkdirSync(world.at("one", "folder"));
  writeFileSync(world.at("one", "folder/file"), "text");
  symlinkSync("file", world.at("one", "folder/link"));
  for (const path of ["folder", "folder/file"]) chownSync(world.at("one", path), 1234, 5678);
  await caughtUp(primary, shadow);
  assert.deepEqual(
    [ownerOf("folder"), ownerOf("folder/file"), ownerOf("folder/link")],
    [
      [1234, 5678],
      [1234, 5678],
      [0, 0],
    ],
  );
  chownSync(world.at("one", "folder/file"), 4321, 0);
  await caughtUp(primary, shadow);
  assert.deepEqual(ownerOf("folder/file"), [4321, 0], "a change of the owner alone");
});

test("names of any letters arrive as they are", async (t) => {
  const names = [
    "ümläut",
    "日本語",
    "line\nbreak",
    " space ",
    "-rf",
    "e\u0301 and \u00e9",
    "\\back",
    "🙂",
    "x".repeat(255),
  ];
  const { world, shadow, primary } = await openPair(t);
  for (const name of names) writeFileSync(world.at("one", name), name);
  await caughtUp(primary, shadow);
  assert.deepEqual(namesIn(world.at("two", ".")), [...names].sort());
  for (const name of names) assert.equal(readFileSync(world.at("two", name), "utf8"), name);
  assert.deepEqual(world.errors, []);
});

test("a name that is not UTF-8 is reported once and the rest is mirrored", async (t) => {
  const { world, shadow, primary } = await openPair(t);
  const odd = Buffer.concat([Buffer.from(`${world.at("one", ".")}/bad-`), Buffer.from([0xff, 0xfe])]);
  mkdirSync(world.at("one", "sub"));
  writeFileSync(odd, "odd");
  writeFileSync(world.at("one", "good"), "good");
  await caughtUp(primary, shadow);
  writeFileSync(odd, "again");
  await caughtUp(primary, shadow);
  assert.deepEqual(namesIn(world.at("two", ".")), ["good", "sub"]);
  const reports = world.errors.filter(({ message }) => message.includes("not UTF-8"));
  assert.equal(reports.length, 1, String(world.errors));
});

test("a file that shrinks and grows while it is read is never sent as it never was at its end", async (t) => {
  const { world, shadow, primary } = await openPair(t);
  const file = world.at("one", "file");
  let writing = true;
  const writer = (async () => {
    for (let round = 0; writing; round += 1) {
      if (round % 3 === 0) writeFileSync(file, randomBytes(300_000));
      else truncateSync(file, (round * 7_919) % 200_000);
      await sleep(1);
    }
  })();
  for (let round = 0; round < 4; round += 1) await caughtUp(primary, shadow);
  writing = false;
  await writer;
  await caughtUp(primary, shadow);
  assert.ok(readFileSync(world.at("two", "file")).equals(readFileSync(file)));
});

test("a critical change is on the shadow without anybody asking, another waits for its tick", async (t) => {
  const { world, shadow } = await openPair(t, {
    criticalPaths: ["*.json", "orders/**/*.json"],
    tickMs: 600_000,
  });
  writeFileSync(world.at("one", "other"), "waits");
  await sleep(300);
  assert.equal(existsSync(world.at("two", "other")), false, "nobody asked for it");
  writeFileSync(world.at("one", "order.json"), "critical");
  await until("it is there", () => existsSync(world.at("two", "order.json")));
  mkdirSync(world.at("one", "orders/today"), { recursive: true });
  writeFileSync(world.at("one", "orders/today/a.json"), "in a folder that has just appeared");
  await until("it is there", () => existsSync(world.at("two", "orders/today/a.json")));
  await until("whole", () => readFileSync(world.at("two", "order.json"), "utf8") === "critical");
  assert.ok(shadow.seeded());
});

test("a file that was copied is another file on the shadow, however alike the two look", async (t) => {
  const { world, shadow, primary } = await openPair(t);
  const at = (path: string) => world.at("one", path);
  writeFileSync(at("first"), randomBytes(50_000));
  await caughtUp(primary, shadow);
  // What was touched with them is where copies are looked for.
  cpSync(at("first"), at("second"), { preserveTimestamps: true });
  chmodSync(at("first"), 0o600);
  chmodSync(at("first"), statSync(at("second")).mode);
  await caughtUp(primary, shadow);
  renameSync(at("first"), at("moved"));
  cpSync(at("moved"), at("again"), { preserveTimestamps: true });
  await caughtUp(primary, shadow);
  const nodes = ["moved", "second", "again"].map((path) => statSync(world.at("two", path)).ino);
  assert.equal(new Set(nodes).size, 3, "a write to one of them would be a write to another");
});

test("a file written under one of its names is new under all of them, and each name is a file there", async (t) => {
  const { world, shadow, primary } = await openPair(t);
  const at = (path: string) => world.at("one", path);
  const deltaBytes = () => primary.shadows()[0]!.deltaBytes;
  mkdirSync(at("folder"));
  writeFileSync(at("one"), randomBytes(200_000));
  await caughtUp(primary, shadow);
  const before = deltaBytes();
  linkSync(at("one"), at("folder/other"));
  await caughtUp(primary, shadow);
  assert.ok(deltaBytes() - before < 2_000, "another name costs no contents");
  const names = ["one", "folder/other"];
  const assertSame = () => {
    for (const name of names)
      assert.ok(readFileSync(world.at("two", name)).equals(readFileSync(at(name))), name);
    assert.equal(new Set(names.map((name) => statSync(world.at("two", name)).ino)).size, names.length);
  };
  assertSame();
  for (const name of names) {
    // In place: what is renamed over one name is another file.
    writeFileSync(at(name), randomBytes(9_000), { flag: "r+" });
    await caughtUp(primary, shadow);
    assertSame();
  }
  rmSync(at("one"));
  writeFileSync(at("folder/other"), "alone", { flag: "r+" });
  await caughtUp(primary, shadow);
  names.shift();
  assertSame();
});

function namesIn(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => name !== VERSION_FILE)
    .sort();
}

test("a folder that takes the place of another is on the shadow with what is in it, and only that", async (t) => {
  const { world, shadow, primary } = await openPair(t);
  const folder = world.at("one", "folder");
  mkdirSync(folder);
  for (const name of ["a", "b"]) writeFileSync(`${folder}/${name}`, name);
  await caughtUp(primary, shadow);
  renameSync(folder, `${world.dir}/old`);
  mkdirSync(folder);
  for (const name of ["b", "c"]) writeFileSync(`${folder}/${name}`, `new ${name}`);
  await caughtUp(primary, shadow);
  assert.deepEqual(readdirSync(world.at("two", "folder")).sort(), ["b", "c"]);
  assert.equal(readFileSync(world.at("two", "folder/b"), "utf8"), "new b");
  writeFileSync(`${folder}/d`, "d");
  await caughtUp(primary, shadow);
  assert.deepEqual(readdirSync(world.at("two", "folder")).sort(), ["b", "c", "d"]);
});
