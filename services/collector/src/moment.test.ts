import assert from "node:assert/strict";
import { test } from "node:test";
import { timed } from "./moment.ts";

test("the moment lies in the middle between question and answer, and the doubt covers both", async () => {
  const gate = Promise.withResolvers<number>();
  const asked = performance.now();
  const timing = timed(() => gate.promise);
  while (performance.now() < asked + 5);
  gate.resolve(7);
  const { answer, atMs, doubtMs } = await timing;
  const answered = performance.now();
  assert.equal(answer, 7);
  assert.ok(doubtMs >= 2.4, `${doubtMs}`);
  assert.ok(atMs - doubtMs >= asked && atMs + doubtMs <= answered);
});
