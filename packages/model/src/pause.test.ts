import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { beforeAbort, pause } from "./pause.ts";

const LONG_MS = 60_000;

test("a pause ends when its time is over and leaves nothing at the signal", async () => {
  const { signal } = new AbortController();
  await pause(1, signal);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("a pause ends at once when the signal aborts, before it or during it", async () => {
  await pause(LONG_MS, AbortSignal.abort());
  const stop = new AbortController();
  const paused = pause(LONG_MS, stop.signal);
  stop.abort();
  await paused;
});

test("a value is waited for until the signal aborts", async () => {
  const stop = new AbortController();
  assert.equal(await beforeAbort(Promise.resolve(7), stop.signal), 7);
  assert.equal(getEventListeners(stop.signal, "abort").length, 0);
  await assert.rejects(beforeAbort(Promise.reject(new Error("no")), stop.signal), /no/);
  const waited = beforeAbort(new Promise(() => undefined), stop.signal);
  stop.abort();
  assert.equal(await waited, undefined);
  assert.equal(await beforeAbort(new Promise(() => undefined), stop.signal), undefined);
});
