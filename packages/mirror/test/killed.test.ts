/** Ends that are killed at any point and opened again from disk. What was acknowledged as durable is never lost. */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { PREPARED_BYTES } from "../src/journal.ts";
import { VERSION_FILE } from "../src/versions/step.ts";
import { attach, caughtUp, openWorld, until } from "./ends.ts";
import { startShadow } from "./start-shadow.ts";

const KILLS = Number(process.env.UNDERSTUDY_TEST_KILLS ?? 4);
const LONG_BYTES = 6 * 1024 * 1024 + 5;
/** Long enough for a kill to fall into any step of taking a delta in. */
const KILL_WITHIN_MS = 120;

async function kill(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

test("a shadow killed at any point keeps what it acknowledged and goes on", async (t) => {
  const world = await openWorld(t, { consistency: "sqlite", paths: ["catalog.db"] });
  const database = new DatabaseSync(world.at("one", "catalog.db"));
  t.after(() => database.close());
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY, text TEXT)");
  const insert = database.prepare("INSERT INTO orders (text) VALUES (?)");
  const primary = await world.primary();
  let running = await startShadow(t, world, { name: "two" });
  primary.attach({ instance: "two", incarnation: "i1", address: `127.0.0.1:${running.port}` });
  await until("seeded", () => running.at().visible.version > 0);

  let seed = 7;
  const random = () => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  let writing = true;
  const writer = (async () => {
    while (writing) {
      insert.run("x".repeat(Math.floor(random() * 20_000)));
      await sleep(2);
    }
  })();
  for (let round = 0; round < KILLS; round += 1) {
    await sleep(random() * KILL_WITHIN_MS);
    const acknowledged = primary.shadows()[0]!.durable;
    await kill(running.process);
    running = await startShadow(t, world, { name: "two", port: running.port });
    const reopened = running.at().durable;
    assert.ok(
      reopened.version >= acknowledged.version,
      `acknowledged ${acknowledged.version}, reopened at ${reopened.version}`,
    );
    await until("it goes on", () => primary.shadows()[0]!.durable.version > acknowledged.version);
  }
  writing = false;
  await writer;
  const last = await primary.seal();
  await until("it shows the last version", () => running.at().visible.root === last.root);
  await kill(running.process);
  const count = (path: string) => {
    const reader = new DatabaseSync(path, { readOnly: true });
    const rows = reader.prepare("SELECT count(*) AS n, total(length(text)) AS bytes FROM orders").all();
    reader.close();
    return rows;
  };
  assert.deepEqual(count(world.at("two", "catalog.db")), count(world.at("one", "catalog.db")));
  assert.equal(primary.shadows()[0]!.seedBytes < 40_000, true, "seeded once and then only followed");
});

test("a shadow of files killed at any point shows whole files of one version", async (t) => {
  const world = await openWorld(t);
  mkdirSync(world.at("one", "sub"));
  const files = ["a", "b", "sub/c", "sub/d"];
  const write = (round: number) => {
    for (const file of files) writeFileSync(world.at("one", file), `${round} `.repeat(5_000));
  };
  write(0);
  const primary = await world.primary();
  let running = await startShadow(t, world, { name: "two" });
  primary.attach({ instance: "two", incarnation: "i1", address: `127.0.0.1:${running.port}` });
  await until("seeded", () => running.at().visible.version > 0);
  for (let round = 1; round <= KILLS; round += 1) {
    write(round);
    const { version } = await primary.seal();
    await sleep((round % 6) * 3);
    await kill(running.process);
    for (const file of files) {
      const words = new Set(readFileSync(world.at("two", file), "utf8").trim().split(" "));
      assert.equal(words.size, 1, `${file} mixes ${[...words]}`);
    }
    running = await startShadow(t, world, { name: "two", port: running.port });
    await until("it shows the version", () => running.at().visible.version >= version);
    for (const file of files) assert.ok(readFileSync(world.at("two", file), "utf8").startsWith(`${round} `));
  }
});

test("a shadow killed while contents move between names and places shows one version or the next", async (t) => {
  const world = await openWorld(t);
  const at = (path: string) => world.at("one", path);
  const fill = (seed: number, bytes: number) => {
    const block = createHash("sha512").update(String(seed)).digest();
    return Buffer.concat(
      Array.from({ length: Math.ceil(bytes / 65) }, (_, n) => Buffer.concat([block, Buffer.of(n % 251)])),
    );
  };
  mkdirSync(at("in"));
  for (let file = 0; file < 8; file += 1) writeFileSync(at(`in/f${file}`), fill(file, 40_000 + file));
  writeFileSync(at("large"), fill(99, 1_500_000));
  const contents = (name: string): Map<string, string> => {
    const files = readdirSync(world.at(name, "."), { recursive: true, withFileTypes: true }).filter(
      (each) => each.isFile() && each.name !== VERSION_FILE,
    );
    return new Map(
      files.map((each) => {
        const path = join(each.parentPath, each.name);
        return [
          path.slice(world.at(name, ".").length),
          createHash("sha256").update(readFileSync(path)).digest("hex"),
        ];
      }),
    );
  };
  const primary = await world.primary();
  let running = await startShadow(t, world, { name: "two" });
  primary.attach({ instance: "two", incarnation: "i1", address: `127.0.0.1:${running.port}` });
  await until("seeded", () => running.at().visible.version > 0);
  const known = new Set(contents("one").values());
  for (let round = 1; round <= KILLS; round += 1) {
    const [from, to] = round % 2 ? ["in", "out"] : ["out", "in"];
    renameSync(at(from!), at(to!));
    renameSync(at(`${to}/f1`), at(`${to}/g`));
    renameSync(at(`${to}/f2`), at(`${to}/f1`));
    renameSync(at(`${to}/g`), at(`${to}/f2`));
    const large = readFileSync(at("large"));
    writeFileSync(at("large"), Buffer.concat([Buffer.from(`${round}`), large]));
    for (const hash of contents("one").values()) known.add(hash);
    const { version } = await primary.seal();
    await sleep((round * 7) % KILL_WITHIN_MS);
    const acknowledged = primary.shadows()[0]!.durable;
    await kill(running.process);
    for (const [path, hash] of contents("two")) assert.ok(known.has(hash), `${path} is of no version`);
    running = await startShadow(t, world, { name: "two", port: running.port });
    assert.ok(running.at().durable.version >= acknowledged.version, "what was acknowledged is there");
    await until("it shows the version", () => running.at().visible.version >= version);
    assert.deepEqual(contents("two"), contents("one"));
  }
  const { seedBytes } = primary.shadows()[0]!;
  assert.ok(seedBytes < 2_000_000, `seeded once: ${seedBytes} bytes`);
});

test("a shadow killed while long files come to it for the first time shows nothing of them, and then all", async (t) => {
  const world = await openWorld(t);
  const names = ["a", "b", "c", "d"];
  for (const name of names) writeFileSync(world.at("one", name), randomBytes(LONG_BYTES));
  const primary = await world.primary();
  let running = await startShadow(t, world, { name: "two" });
  primary.attach({ instance: "two", incarnation: "i1", address: `127.0.0.1:${running.port}` });
  const pins = join(world.dir, "two", "work", "pins");
  for (let round = 1; round <= KILLS; round += 1) {
    const wanted = (names.length * LONG_BYTES * round) / (KILLS + 1);
    await until("some of it has come", () => running.at().visible.version > 0 || bytesIn(pins) >= wanted);
    if (running.at().visible.version > 0) break;
    await kill(running.process);
    assert.deepEqual(readdirSync(world.at("two", ".")), [], "nothing is shown of half a copy");
    running = await startShadow(t, world, { name: "two", port: running.port });
    assert.deepEqual(readdirSync(pins), [], "what came of it is gone");
  }
  await until("it shows the state", () => running.at().visible.root === primary.position().root);
  for (const name of names)
    assert.ok(readFileSync(world.at("two", name)).equals(readFileSync(world.at("one", name))), name);
  const journal = statSync(join(world.dir, "two", "work", "journal")).size;
  assert.ok(journal <= PREPARED_BYTES, `contents went past the journal of ${journal} bytes`);
});

function bytesIn(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => {
    const found = statSync(join(folder, name), { throwIfNoEntry: false });
    return sum + (found ? found.blocks * 512 : 0);
  }, 0);
}

test("a critical version that was acknowledged is on the shadow that is promoted", async (t) => {
  const world = await openWorld(t, { consistency: "sqlite", paths: ["catalog.db"] });
  const database = new DatabaseSync(world.at("one", "catalog.db"));
  t.after(() => database.close());
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE orders (id INTEGER PRIMARY KEY)");
  const primary = await world.primary();
  const running = await startShadow(t, world, { name: "two" });
  primary.attach({ instance: "two", incarnation: "i1", address: `127.0.0.1:${running.port}` });
  await until("seeded", () => running.at().visible.version > 0);
  database.exec("INSERT INTO orders (id) VALUES (42)");
  const { version } = await primary.seal();
  assert.ok(await primary.waitDurable(version, ["two"], AbortSignal.timeout(5_000)));
  await kill(running.process);
  await primary.close();

  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  await shadow.raiseEpoch(2);
  const from = await shadow.release();
  assert.ok(from.version >= version);
  const promoted = await world.primary({ name: "two", epoch: 2, from });
  assert.equal(promoted.position().version, from.version + 1);
  assert.equal(promoted.position().root, from.root);
  const reader = new DatabaseSync(world.at("two", "catalog.db"), { readOnly: true });
  assert.deepEqual(
    reader
      .prepare("SELECT id FROM orders")
      .all()
      .map(({ id }) => id),
    [42],
  );
  reader.close();
});

test("a primary end that is opened again goes on where it stood, without a new seed", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "file"), Buffer.alloc(400_000, 1));
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const first = await world.primary();
  attach(first, listener, "two");
  const before = await caughtUp(first, shadow);
  await first.close();
  const second = await world.primary();
  assert.deepEqual(second.position(), before, "nothing changed: the same version");
  attach(second, listener, "two");
  writeFileSync(world.at("one", "file"), Buffer.alloc(400_000, 2).fill(1, 0, 390_000));
  const after = await caughtUp(second, shadow);
  assert.equal(after.version, before.version + 1);
  assert.ok(second.shadows()[0]!.deltaBytes < 20_000);
  await second.close();

  writeFileSync(world.at("one", "file"), Buffer.alloc(400_000, 1));
  const third = await world.primary();
  assert.equal(third.position().version, after.version + 1, "changed while no end was open");
  attach(third, listener, "two");
  await caughtUp(third, shadow);
  assert.ok(readFileSync(world.at("two", "file")).equals(Buffer.alloc(400_000, 1)));
  assert.ok(third.shadows()[0]!.deltaBytes < 20_000, "only what differs");
});

test("a shadow whose journal has started again many times is opened where it stood", async (t) => {
  const world = await openWorld(t);
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary();
  attach(primary, listener, "two");
  for (let round = 1; round <= 12; round += 1) {
    writeFileSync(world.at("one", "file"), randomBytes(1_500_000));
    await caughtUp(primary, shadow);
  }
  const { deltaBytes } = primary.shadows()[0]!;
  assert.ok(deltaBytes > 3 * PREPARED_BYTES, "long enough for several starts");
  await shadow.close();
  const reopened = await world.shadow(listener, { name: "two" });
  assert.deepEqual(reopened.durable(), primary.position());
  assert.deepEqual(reopened.visible(), primary.position());
  assert.ok(statSync(join(world.dir, "two/work/journal")).size < 2 * PREPARED_BYTES);
});
