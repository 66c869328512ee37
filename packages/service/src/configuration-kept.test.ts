import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Bus } from "@understudy/bus/bus";
import { memoryBus } from "@understudy/bus/memory";
import { applyConfiguration } from "./configuration-apply.ts";
import { followFromDisk, openKeptConfiguration } from "./configuration-kept.ts";

const yamlOf = (host: string) => `hosts: [{ name: ${host}, control: "127.0.0.1:1", data: "127.0.0.1:2" }]`;

function placeOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "understudy-kept-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return join(folder, "deep", "configuration.yaml");
}

async function apply(bus: Bus, host: string): Promise<void> {
  const about = { yaml: yamlOf(host), file: "test", source: "test", nowMs: Date.now() };
  assert.ok((await applyConfiguration(bus, about)).applied);
}

function follow(path: string, bus: Promise<Bus>) {
  const stop = new AbortController();
  const errors: Error[] = [];
  const options = {
    bus,
    signal: stop.signal,
    service: "test",
    onError: (error: Error) => errors.push(error),
  };
  const following = followFromDisk(openKeptConfiguration(path), options);
  const next = async () => {
    const { value, done } = await following.next();
    return done ? "ended" : `${value.configuration.hosts[0]?.name} from ${value.from}`;
  };
  return { next, stop, errors };
}

test("the first start learns it from the bus, the next begins with it before there is a bus", async (t) => {
  const path = placeOf(t);
  const bus = memoryBus();
  await apply(bus, "host-a");
  const first = follow(path, Promise.resolve(bus));
  assert.equal(await first.next(), "host-a from bus");
  first.stop.abort();

  const connecting = Promise.withResolvers<Bus>();
  const second = follow(path, connecting.promise);
  assert.equal(await second.next(), "host-a from disk");
  connecting.resolve(bus);
  assert.equal(await second.next(), "host-a from bus");
  const changed = second.next();
  await apply(bus, "host-b");
  assert.equal(await changed, "host-b from bus");
  second.stop.abort();

  const third = follow(path, new Promise(() => undefined));
  assert.equal(await third.next(), "host-b from disk");
  const ended = third.next();
  third.stop.abort();
  assert.equal(await ended, "ended", "no bus is waited for after the end");
});

test("a disk that does not keep it is told, and holds up nobody", async (t) => {
  const path = placeOf(t);
  // In the way of what is written.
  mkdirSync(`${path}.new`, { recursive: true });
  const bus = memoryBus();
  await apply(bus, "host-a");
  const following = follow(path, Promise.resolve(bus));
  assert.equal(await following.next(), "host-a from bus");
  assert.equal(following.errors.length, 1);
  following.stop.abort();
});

test("a kept one that is not understood counts for nothing", async (t) => {
  const path = placeOf(t);
  openKeptConfiguration(path).keep("");
  writeFileSync(path, "resources: 7");
  assert.equal(openKeptConfiguration(path).read(), undefined);
});
