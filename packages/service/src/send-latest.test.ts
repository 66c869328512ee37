import assert from "node:assert/strict";
import { test } from "node:test";
import { sendLatest } from "./send-latest.ts";

/** Each send waits until it is let through. */
function slowReceiver() {
  const sent: string[] = [];
  const through: (() => void)[] = [];
  let skips = 0;
  const send = sendLatest<{ text: string }>(
    ({ text }) => {
      sent.push(text);
      return new Promise((resolve) => through.push(resolve));
    },
    () => {
      skips += 1;
    },
  );
  const letThrough = async () => {
    through.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { say: (key: string, text: string) => send(key, { text }), sent, letThrough, skips: () => skips };
}

test("one at a time for each key, the newest next, those between are skipped", async () => {
  const { say, sent, letThrough, skips } = slowReceiver();
  for (const text of ["a1", "a2", "a3", "a4"]) say("a", text);
  assert.deepEqual([...sent], ["a1"]);
  await letThrough();
  assert.deepEqual([...sent], ["a1", "a4"]);
  assert.equal(skips(), 2);
  await letThrough();
  say("a", "a5");
  assert.deepEqual([...sent], ["a1", "a4", "a5"]);
});

test("one key does not wait for another", async () => {
  const { say, sent } = slowReceiver();
  say("a", "a1");
  say("b", "b1");
  assert.deepEqual([...sent], ["a1", "b1"]);
});
