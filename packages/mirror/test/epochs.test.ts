/** Promotion and what follows: a diverged old primary catches up by differences, and nobody of a lower epoch is heard. */

import assert from "node:assert/strict";
import { closeSync, existsSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { test } from "node:test";
import type { MirrorError } from "../src/error.ts";
import { attach, caughtUp, openWorld, until } from "./ends.ts";

const SIZE = 4 * 1024 * 1024;

test("a killed primary rejoins as a shadow by what differs, and its own writes are gone", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "file"), Buffer.alloc(SIZE, 1));
  const listener = await world.listen();
  const two = await world.shadow(listener, { name: "two" });
  const first = await world.primary();
  attach(first, listener, "two");
  await caughtUp(first, two);
  first.detach("two");
  const mine = Buffer.alloc(SIZE, 1);
  mine.fill(9, 100_000, 120_000);
  writeFileSync(world.at("one", "file"), mine);
  writeFileSync(world.at("one", "only-here"), "a write nobody else has");
  await first.seal();
  await first.seal();
  await first.close();

  await two.raiseEpoch(2);
  const second = await world.primary({ name: "two", epoch: 2, from: await two.release() });
  const other = Buffer.alloc(SIZE, 1);
  other.fill(7, 2_000_000, 2_010_000);
  writeFileSync(world.at("two", "file"), other);
  const one = await world.shadow(listener, { name: "one", incarnation: "i2" });
  assert.equal(one.durable().epoch, 1, "it still stands in its own history");
  attach(second, listener, "one", "i2");
  await caughtUp(second, one);
  assert.ok(readFileSync(world.at("one", "file")).equals(other));
  assert.equal(existsSync(world.at("one", "only-here")), false);
  const { seedBytes, deltaBytes } = second.shadows()[0]!;
  assert.equal(seedBytes, 0);
  assert.ok(deltaBytes < 60_000, `${deltaBytes} bytes for 30 KB of difference`);
  assert.deepEqual(world.errors, []);
});

test("another shadow that stands where the promoted one stood follows by deltas", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "file"), Buffer.alloc(SIZE, 1));
  const listener = await world.listen();
  const first = await world.primary();
  const two = await world.shadow(listener, { name: "two" });
  const three = await world.shadow(listener, { name: "three" });
  attach(first, listener, "two");
  attach(first, listener, "three");
  await caughtUp(first, two);
  await caughtUp(first, three);
  await first.close();
  const second = await world.primary({ name: "two", epoch: 2, from: await two.release() });
  attach(second, listener, "three");
  writeFileSync(world.at("two", "new"), "of epoch 2");
  await caughtUp(second, three);
  assert.equal(readFileSync(world.at("three", "new"), "utf8"), "of epoch 2");
  assert.ok(second.shadows()[0]!.deltaBytes < 2_000);
  assert.equal(three.visible().epoch, 2);
});

test("a shadow that stands at the same number under an older epoch is led into the new one", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "file"), "one");
  const before = await world.primary();
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  attach(before, listener, "two");
  writeFileSync(world.at("one", "file"), "two");
  const stood = await caughtUp(before, shadow);
  await before.close();
  // Who opens it knows of a position that is older by one: the number of the shadow's is given again.
  const from = { ...stood, version: stood.version - 1 };
  const again = await world.primary({ epoch: 2, from });
  assert.equal(again.position().version, stood.version);
  attach(again, listener, "two");
  await until("the shadow is in epoch 2", () => shadow.durable().epoch === 2);
  assert.equal(readFileSync(world.at("two", "file"), "utf8"), "two");
});

test("a primary of a lower epoch is refused, also after the shadow was opened again", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "file"), "old");
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const stale = await world.primary({ epoch: 3 });
  attach(stale, listener, "two");
  await caughtUp(stale, shadow);
  await shadow.raiseEpoch(4);
  writeFileSync(world.at("one", "file"), "too late");
  const late = await stale.seal();
  assert.equal(await stale.waitDurable(late.version, ["two"], AbortSignal.timeout(300)), false);
  await until("it is refused", () =>
    world.errors.some((error) => (error as MirrorError).code === "stale-epoch"),
  );
  await shadow.close();
  const reopened = await world.shadow(listener, { name: "two" });
  assert.equal(await stale.waitDurable(late.version, ["two"], AbortSignal.timeout(300)), false);
  assert.equal(readFileSync(world.at("two", "file"), "utf8"), "old");
  assert.equal(reopened.durable().version, late.version - 1);
});

test("a primary end does not open in an epoch that is over", async (t) => {
  const world = await openWorld(t);
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  await shadow.raiseEpoch(5);
  const from = await shadow.release();
  await assert.rejects(
    world.primary({ name: "two", epoch: 4, from }),
    (error: MirrorError) => error.code === "stale-epoch",
  );
});

test("a history far ahead of our clock is refused", async (t) => {
  const world = await openWorld(t);
  const hlc = { wallMs: Date.now() + 3_600_000, counter: 0 };
  const from = { epoch: 1, version: 7, hlc, root: "0".repeat(64) };
  await assert.rejects(world.primary({ epoch: 2, from }), (error: MirrorError) => error.code === "clock");
});

test("an incarnation that was replaced is not fed", async (t) => {
  const world = await openWorld(t);
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two", incarnation: "i2" });
  const primary = await world.primary();
  attach(primary, listener, "two", "i1");
  await until("it is refused", () =>
    world.errors.some(({ message }) => message.includes("incarnation i2, not i1")),
  );
  assert.equal(shadow.seeded(), false);
  attach(primary, listener, "two", "i2");
  await until("seeded", () => shadow.seeded());
});

test("lag grows while a shadow is away and is made up by deltas when it is back", async (t) => {
  const world = await openWorld(t);
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary();
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  await shadow.close();
  for (let round = 0; round < 5; round += 1) {
    writeFileSync(world.at("one", "file"), `${round}`);
    await primary.seal();
  }
  const away = () => primary.shadows()[0]!;
  assert.equal(away().lagVersions, 5);
  assert.ok(away().lagBytes > 0);
  const before = away().lagMs;
  await until("the lag grows", () => away().lagMs > before + 100);
  await until("it is known to be away", () => away().phase === "disconnected");
  const back = await world.shadow(listener, { name: "two" });
  await caughtUp(primary, back);
  await until(
    "no lag is left",
    () => away().lagVersions === 0 && away().lagMs === 0 && away().phase === "live",
  );
  assert.ok(away().deltaBytes < 5_000);
});

test("an end that is closed twice closes nothing that became somebody else's", async (t) => {
  const world = await openWorld(t);
  const shadow = await world.shadow(await world.listen(), { name: "two" });
  await shadow.close();
  const mine = openSync(world.at("one", "mine"), "w+");
  t.after(() => closeSync(mine));
  await shadow.close();
  writeSync(mine, "still open");
  assert.equal(readFileSync(world.at("one", "mine"), "utf8"), "still open");
});
