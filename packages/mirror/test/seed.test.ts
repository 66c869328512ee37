import assert from "node:assert/strict";
import { randomFillSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { createRateLimit } from "../src/rate-limit.ts";
import { attach, caughtUp, openWorld, until } from "./ends.ts";

const BYTES = 12 * 1024 * 1024;
const SLOW_BYTES_PER_S = 2 * 1024 * 1024;

test("a seed over UDP arrives whole while its source goes on changing, and deltas follow it over TLS", async (t) => {
  const world = await openWorld(t);
  for (const name of ["a", "b"]) writeFileSync(world.at("one", name), randomFillSync(Buffer.alloc(BYTES)));
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary({ seedOver: "udp" });
  attach(primary, listener, "two");
  await until("the seed is under way", () => primary.shadows()[0]!.seedDoneBytes > 0);
  assert.equal(primary.shadows()[0]!.transport, "udp");
  writeFileSync(world.at("one", "c"), "written meanwhile");
  await caughtUp(primary, shadow);
  writeFileSync(world.at("one", "d"), "a delta");
  await caughtUp(primary, shadow);
  for (const name of ["a", "b", "c", "d"]) {
    assert.ok(readFileSync(world.at("one", name)).equals(readFileSync(world.at("two", name))), name);
  }
  assert.deepEqual(world.errors, []);
});

test("on a short clean way the probe picks TLS for the seed", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "a"), randomFillSync(Buffer.alloc(BYTES)));
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary();
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  assert.equal(primary.shadows()[0]!.transport, "tls");
  assert.deepEqual(world.errors, []);
});

test("a seed over UDP obeys the limit of its link, also when that changes under way", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "a"), randomFillSync(Buffer.alloc(BYTES)));
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const limit = createRateLimit(SLOW_BYTES_PER_S);
  const primary = await world.primary({ seedOver: "udp", linkOf: () => ({ limit }) });
  attach(primary, listener, "two");
  const done = () => primary.shadows()[0]!.seedDoneBytes;
  await until("the seed is under way", () => done() > 0);
  assert.equal(primary.shadows()[0]!.transport, "udp");
  const [fromMs, fromBytes] = [performance.now(), done()];
  await until("a second's worth has been sent", () => done() > fromBytes + SLOW_BYTES_PER_S);
  const perS = ((done() - fromBytes) * 1000) / (performance.now() - fromMs);
  assert.ok(perS < 1.3 * SLOW_BYTES_PER_S, `${perS} bytes/s of ${SLOW_BYTES_PER_S}`);
  limit.setRate(undefined);
  await caughtUp(primary, shadow);
  assert.ok(readFileSync(world.at("one", "a")).equals(readFileSync(world.at("two", "a"))));
  assert.deepEqual(world.errors, []);
});

test("where packets have to carry a services code point, the seed goes where one can be set", async (t) => {
  const world = await openWorld(t);
  writeFileSync(world.at("one", "a"), randomFillSync(Buffer.alloc(BYTES)));
  const listener = await world.listen();
  const shadow = await world.shadow(listener, { name: "two" });
  const primary = await world.primary({ seedOver: "udp", linkOf: () => ({ dscp: 10 }) });
  attach(primary, listener, "two");
  await caughtUp(primary, shadow);
  assert.equal(primary.shadows()[0]!.transport, "tls");
});
