/** A block image whose writer keeps a change map, mirrored over the real transport while it is written to. */

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@understudy/testkit/random";
import type { DirtyRange } from "../src/image.ts";
import { attach, caughtUp, openWorld, until } from "./ends.ts";

const DISK = "disk.raw";
const DISK_BYTES = 8 * 1024 * 1024 + 777;
const WRITE_BYTES_MAX = 20_000;
const SEED = 20_261_124;

/** Writes at random places until it is stopped, and marks what it has written, as a virtual machine does. */
function openWriter(t: TestContext, path: string) {
  const random = seededRandom(SEED);
  let dirty: DirtyRange[] = [];
  let writing: Promise<void> | undefined;
  let stopped = false;
  const fd = openSync(path, "r+");
  const write = () => {
    const data = randomBytes(random.integer(1, WRITE_BYTES_MAX));
    const offset = random.integer(0, DISK_BYTES - data.length);
    writeSync(fd, data, 0, data.length, offset);
    dirty.push({ offset, length: data.length });
  };
  const stop = async () => {
    stopped = true;
    await writing;
  };
  t.after(async () => {
    await stop();
    closeSync(fd);
  });
  return {
    changes: {
      pending: () => dirty.length > 0,
      async takeDirty() {
        const taken = dirty;
        dirty = [];
        return taken;
      },
    },
    /** What a map that was kept in memory is after a restart. */
    forget() {
      dirty = [];
    },
    write,
    start() {
      stopped = false;
      writing = (async () => {
        while (!stopped) {
          write();
          await sleep(2);
        }
      })();
    },
    stop,
  };
}

async function openDisk(t: TestContext) {
  const world = await openWorld(t, { paths: [DISK] });
  const path = world.at("one", DISK);
  writeFileSync(path, randomBytes(DISK_BYTES));
  const writer = openWriter(t, path);
  const source = { kind: "image", changes: writer.changes } as const;
  const listener = await world.listen();
  const isSame = () => readFileSync(world.at("two", DISK)).equals(readFileSync(path));
  return { world, writer, source, listener, isSame };
}

test("an image is seeded and followed by its change map while it is written to", async (t) => {
  const { world, writer, source, listener, isSame } = await openDisk(t);
  const shadow = await world.shadow(listener, { name: "two" });
  writer.start();
  const primary = await world.primary({ source });
  attach(primary, listener, "two");
  await until("versions follow the seed", () => shadow.visible().version >= 10);
  await writer.stop();
  await caughtUp(primary, shadow);
  assert.ok(isSame());
  const before = primary.shadows()[0]!.deltaBytes;
  writer.write();
  await caughtUp(primary, shadow);
  assert.ok(isSame());
  const cost = primary.shadows()[0]!.deltaBytes - before;
  assert.ok(cost <= WRITE_BYTES_MAX + 3 * 4_096, `${cost} bytes for one write`);
  assert.deepEqual(world.errors, []);
});

test("a shadow that was away, and a primary whose map was lost with it, catch up by what differs", async (t) => {
  const { world, writer, source, listener, isSame } = await openDisk(t);
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary({ source });
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);

  await shadow.close();
  for (let count = 0; count < 20; count += 1) writer.write();
  await primary.seal();
  await primary.close();
  for (let count = 0; count < 20; count += 1) writer.write();
  writer.forget();

  const back = await world.shadow(listener, { name: "two" });
  const again = await world.primary({ source });
  attach(again, listener, "two");
  writer.start();
  await until("it goes on", () => back.visible().version > again.position().version - 5 && back.seeded());
  await writer.stop();
  await caughtUp(again, back);
  assert.ok(isSame());
  const { seedBytes, deltaBytes } = again.shadows()[0]!;
  assert.ok(seedBytes + deltaBytes < DISK_BYTES, `${seedBytes} + ${deltaBytes} bytes`);
});

test("a change map that fails keeps the shadow where it is, says so once, and goes on", async (t) => {
  const { world, writer, source, listener, isSame } = await openDisk(t);
  const shadow = await world.shadow(listener, { name: "two" });
  let broken = false;
  const takeDirty = async () => {
    if (broken) throw new Error("the monitor does not answer");
    return writer.changes.takeDirty();
  };
  const primary = await world.primary({
    source: { ...source, changes: { ...writer.changes, takeDirty } },
  });
  attach(primary, listener, "two");
  const { version } = await caughtUp(primary, shadow);
  broken = true;
  writer.write();
  await until("it is reported", () => world.errors.length > 0);
  await sleep(200);
  assert.deepEqual(
    world.errors.map(({ message }) => message),
    ["image disk.raw: the monitor does not answer"],
  );
  assert.equal(shadow.visible().version, version);
  broken = false;
  await caughtUp(primary, shadow);
  assert.ok(isSame());
});

test("an image is one path, and has no other consistency than its own", async (t) => {
  const world = await openWorld(t, { paths: ["one.raw", "two.raw"] });
  const changes = { pending: () => false, takeDirty: async () => [] };
  await assert.rejects(world.primary({ source: { kind: "image", changes } }), { message: /is one path/ });
});
