import assert from "node:assert/strict";
import { test } from "node:test";
import { createWorkers } from "./workers.ts";

const always = () => true;

function poolOf(size: number, queueMax: number, serviceMs = 5) {
  return createWorkers({ size, queueMax, serviceMs: () => serviceMs });
}

test("never more requests at work than there are workers", async () => {
  const workers = poolOf(3, 100);
  let most = 0;
  const watch = () => {
    most = Math.max(most, workers.busy());
  };
  await Promise.all(Array.from({ length: 20 }, () => workers.run(watch, always)));
  assert.equal(most, 3);
  assert.equal(workers.busy(), 0);
  assert.equal(workers.queued(), 0);
});

test("requests are served in the order of their arrival", async () => {
  const workers = poolOf(1, 100, 1);
  const served: number[] = [];
  await Promise.all([0, 1, 2, 3, 4].map((n) => workers.run(() => served.push(n), always)));
  assert.deepEqual(served, [0, 1, 2, 3, 4]);
});

test("a full queue refuses at once and runs nothing", async () => {
  const workers = poolOf(1, 1);
  let ran = 0;
  const work = () => {
    ran += 1;
  };
  const accepted = [workers.run(work, always), workers.run(work, always)];
  assert.deepEqual(await workers.run(work, always), { ran: false, why: "full" });
  await Promise.all(accepted);
  assert.equal(ran, 2);
});

test("work that nobody waits for any more is dropped before it costs service time", async () => {
  const workers = poolOf(1, 10);
  const first = workers.run(() => "done", always);
  assert.deepEqual(
    await workers.run(
      () => assert.fail("ran"),
      () => false,
    ),
    { ran: false, why: "gone" },
  );
  assert.deepEqual(await first, { ran: true, value: "done" });
});

test("work that throws gives its worker back", async () => {
  const workers = poolOf(1, 10, 1);
  const failing = workers.run(() => {
    throw new Error("broken");
  }, always);
  await assert.rejects(failing, /broken/);
  assert.deepEqual(await workers.run(() => 1, always), { ran: true, value: 1 });
});
