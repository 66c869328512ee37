/** A bundle of code and configuration, known by hashes, mirrored over the real transport: one bundle is one version. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type BundlePart, type BundleSource, bundleOf, partOf } from "../src/bundle.ts";
import type { MirrorError } from "../src/error.ts";
import { VERSION_FILE } from "../src/versions/step.ts";
import { attach, caughtUp, openWorld, until } from "./ends.ts";

type Contents = Readonly<Record<string, string | Uint8Array>>;

/** Deploys bundles in this process; what was replaced is gone. */
function registry(first: Contents) {
  let contents = new Map<string, Uint8Array>();
  let reads = 0;
  let bundle = bundleOf([]);
  const deploy = (next: Contents) => {
    contents = new Map(Object.entries(next).map(([name, data]) => [name, Buffer.from(data)]));
    bundle = bundleOf([...contents].map(([name, data]) => partOf(name, data)));
  };
  deploy(first);
  const source: BundleSource = {
    current: () => bundle,
    async read({ name }: BundlePart) {
      reads += 1;
      return contents.get(name);
    },
  };
  return { source, deploy, reads: () => reads, contents: () => contents };
}

async function openPair(t: TestContext, first: Contents) {
  const world = await openWorld(t);
  const functions = registry(first);
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const source = { kind: "bundle", bundle: functions.source } as const;
  const primary = await world.primary({ source });
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  const assertSame = () => {
    const dir = world.at("two", ".");
    const files = readdirSync(dir, { recursive: true, encoding: "utf8" }).filter(
      (name) => name !== VERSION_FILE && statSync(join(dir, name)).isFile(),
    );
    assert.deepEqual(files.sort(), [...functions.contents().keys()].sort());
    for (const [name, data] of functions.contents())
      assert.ok(readFileSync(join(dir, name)).equals(data), name);
  };
  const deltaBytes = () => primary.shadows()[0]!.deltaBytes;
  return { world, functions, listener, shadow, primary, source, assertSame, deltaBytes };
}

test("a bundle arrives, the next one by what differs, and what it no longer has is gone", async (t) => {
  const code = randomBytes(600_000);
  const { functions, shadow, primary, assertSame, deltaBytes } = await openPair(t, {
    "code.zip": code,
    "config/limits.json": '{"memory":128}',
    "config/old.json": "{}",
  });
  assertSame();
  const before = deltaBytes();
  const inserted = Buffer.concat([code.subarray(0, 1_000), randomBytes(10), code.subarray(1_000)]);
  const reads = functions.reads();
  functions.deploy({ "code.zip": inserted, "config/limits.json": '{"memory":128}', "handler.js": "run()" });
  await caughtUp(primary, shadow);
  assertSame();
  assert.ok(deltaBytes() - before < 20_000, `${deltaBytes() - before} bytes for ten`);
  assert.equal(functions.reads() - reads, 2, "what has the same hash is not read again");
  functions.deploy({ "handler.js": "run()" });
  await caughtUp(primary, shadow);
  assertSame();
});

test("a deployment that nobody waits for is sealed by the tick, and the same one again is nothing", async (t) => {
  const { functions, shadow, primary } = await openPair(t, { a: "1" });
  functions.deploy({ a: "2" });
  await until("it is there", () => shadow.visible().version > 1);
  const { version } = primary.position();
  functions.deploy({ a: "2" });
  assert.equal((await primary.seal()).version, version);
});

test("code and configuration of one bundle are seen together", async (t) => {
  const bundle = (number: number): Contents => ({
    "code.js": `${number} ${"x".repeat(50_000)}`,
    config: `${number}`,
  });
  const { world, functions, shadow, primary } = await openPair(t, bundle(0));
  let reading = true;
  let seen = 0;
  const reader = (async () => {
    while (reading) {
      const dir = realpathSync(world.at("two", "."));
      const [code] = readFileSync(join(dir, "code.js"), "utf8").split(" ");
      assert.equal(readFileSync(join(dir, "config"), "utf8"), code);
      seen += 1;
      await new Promise(setImmediate);
    }
  })();
  for (let number = 1; number <= 20; number += 1) {
    functions.deploy(bundle(number));
    await caughtUp(primary, shadow);
  }
  reading = false;
  await reader;
  assert.ok(seen > 20);
});

test("contents that are not what their hash says are reported, and the shadow keeps the bundle it has", async (t) => {
  const { world, functions, shadow, primary, assertSame } = await openPair(t, { a: "1", b: "1" });
  const { version } = primary.position();
  const wrong = functions.source.read;
  functions.source.read = async (part) => (part.name === "b" ? Buffer.from("?") : wrong(part));
  functions.deploy({ a: "2", b: "3" });
  await assert.rejects(primary.seal(), { code: "mismatch", message: /b of the bundle/ });
  assert.equal(shadow.visible().version, version);
  functions.source.read = async () => undefined;
  await assert.rejects(primary.seal(), { code: "io", message: /not to be had/ });
  functions.source.read = wrong;
  await caughtUp(primary, shadow);
  assertSame();
  // What is too much for one delta, or was told of none, is asked for anew on another connection.
  const codes = world.errors.map((error) => (error as MirrorError).code);
  const expected = ["mismatch", "io", "unreachable"];
  assert.deepEqual(
    codes.filter((code) => !expected.includes(code)),
    [],
  );
});

test("a primary that is opened again, and a shadow that comes late, have the bundle of now", async (t) => {
  const { world, functions, shadow, primary, listener, source, assertSame } = await openPair(t, {
    "deep/er/a": randomBytes(100_000),
  });
  await primary.close();
  functions.deploy({ "deep/er/b": randomBytes(50_000), c: "" });
  const again = await world.primary({ source });
  attach(again, listener, "two");
  await caughtUp(again, shadow);
  assertSame();
  const late = await world.shadow(listener, { name: "three" });
  attach(again, listener, "three");
  await caughtUp(again, late);
  assert.equal(late.visible().root, shadow.visible().root);
});

test("a part that would lie outside of the state, or where others have a folder, is refused", async (t) => {
  for (const [bad, code] of [
    [{ "../out": "x" }, "escape"],
    [{ "/etc/out": "x" }, "escape"],
    [{ a: "x", "a/b": "y" }, "io"],
  ] as const) {
    const world = await openWorld(t);
    const source = { kind: "bundle", bundle: registry(bad).source } as const;
    await assert.rejects(world.primary({ source }), { code });
    assert.equal(existsSync(join(world.dir, "out")), false);
  }
});
