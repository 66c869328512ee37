import assert from "node:assert/strict";
import { test } from "node:test";
import { BusError } from "@understudy/bus/bus";
import { waitFor } from "@understudy/testkit/wait";
import { openOutbox } from "./outbox.ts";

function open() {
  const failures: unknown[] = [];
  const outbox = openOutbox({ published: () => undefined, publishFailed: (error) => failures.push(error) });
  return { outbox, failures };
}

test("of what waits behind a slow bus only the newest level is sent", async () => {
  const { outbox } = open();
  const sent: number[] = [];
  const { promise: slow, resolve: go } = Promise.withResolvers<void>();
  const send = (value: number) => async () => {
    sent.push(value);
    await slow;
  };
  for (const value of [1, 2, 3, 4]) outbox.level("weights.catalog", send(value));
  outbox.level("weights.other", send(9));
  go();
  await waitFor(() => sent.length === 3, { withinMs: 1_000 });
  assert.deepEqual(sent, [1, 9, 4]);
  outbox.close();
});

test("events wait in order for a bus that is away, and the oldest go when there are too many", async () => {
  const { outbox, failures } = open();
  const taken: number[] = [];
  let away = true;
  for (let number = 0; number < 250; number += 1) {
    outbox.event(async () => {
      if (away) throw new BusError("unreachable", "away");
      taken.push(number);
    });
  }
  await waitFor(() => failures.length > 0, { withinMs: 1_000 });
  assert.ok(outbox.waiting() <= 200);
  away = false;
  await waitFor(() => outbox.waiting() === 0, { withinMs: 3_000 });
  assert.equal(taken.at(-1), 249);
  assert.deepEqual(
    taken,
    [...taken].sort((a, b) => a - b),
  );
  outbox.close();
});

test("an event that the bus refuses does not hold up the next", async () => {
  const { outbox } = open();
  const taken: string[] = [];
  outbox.event(async () => {
    throw new BusError("refused", "no right to publish");
  });
  outbox.event(async () => {
    taken.push("next");
  });
  await waitFor(() => taken.length === 1, { withinMs: 1_000 });
  outbox.close();
});
