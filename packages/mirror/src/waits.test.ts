import assert from "node:assert/strict";
import { test } from "node:test";
import { POSITION_ZERO } from "@understudy/model/position";
import type { ShadowProgress } from "./engine.ts";
import { durabilityWaits } from "./waits.ts";

const shadow = (instance: string, version: number): ShadowProgress => ({
  instance,
  incarnation: "i1",
  phase: "live",
  durable: { ...POSITION_ZERO, version },
  visible: POSITION_ZERO,
  lagMs: 0,
  lagVersions: 0,
  lagBytes: 0,
  seedBytes: 0,
  deltaBytes: 0,
  seedDoneBytes: 0,
  seedTotalBytes: 0,
  transport: "tls",
});
const never = new AbortController().signal;

test("a wait ends when every instance named has the version on disk", async () => {
  const waits = durabilityWaits();
  let done: boolean | undefined;
  const wait = waits.add({ version: 5, instances: ["a", "b"], signal: never }).then((value) => {
    done = value;
  });
  waits.check([shadow("a", 5), shadow("b", 4)]);
  await Promise.resolve();
  assert.equal(done, undefined);
  waits.check([shadow("a", 9), shadow("b", 5), shadow("c", 0)]);
  await wait;
  assert.equal(done, true);
});

test("an instance that is not fed has nothing on disk", async () => {
  const waits = durabilityWaits();
  const stop = new AbortController();
  const wait = waits.add({ version: 0, instances: ["gone"], signal: stop.signal });
  waits.check([shadow("a", 9)]);
  stop.abort();
  assert.equal(await wait, false);
});

test("an aborted wait is false at once, and a wait for nobody is true", async () => {
  const waits = durabilityWaits();
  assert.equal(await waits.add({ version: 1, instances: ["a"], signal: AbortSignal.abort() }), false);
  const nobody = waits.add({ version: 1, instances: [], signal: never });
  waits.check([]);
  assert.equal(await nobody, true);
});
