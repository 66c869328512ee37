import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { pause } from "./pause.ts";

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
