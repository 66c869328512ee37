import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { type MemoryBus, memoryBus } from "@understudy/bus/memory";
import { followMessages } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import { waitFor } from "@understudy/testkit/wait";
import { EventSchema } from "@understudy/wire/gen/event";
import { RoleChangedSchema } from "@understudy/wire/gen/role";
import { headerToWire } from "@understudy/wire/header";
import { createOutbox, type Outbox } from "./outbox.ts";

const WITHIN_MS = 5000;
const header = headerToWire({ resource: "app", time: { wallMs: 1, counter: 0 }, source: "test" });

function putRoles(outbox: Outbox, epoch: number): void {
  const message = create(RoleChangedSchema, { header, epoch: BigInt(epoch) });
  outbox.put(TOPICS.roles, { names: ["app"], message, trace: ROOT_CONTEXT });
}
function putEvent(outbox: Outbox, text: string): void {
  const message = create(EventSchema, { header, kind: "test", text });
  outbox.put(TOPICS.events, { names: ["app"], message, trace: ROOT_CONTEXT }, { every: true });
}

async function running(
  body: (parts: { bus: MemoryBus; outbox: Outbox; signal: AbortSignal }) => Promise<void>,
) {
  const bus = memoryBus();
  const outbox = createOutbox(bus);
  const stop = new AbortController();
  const ended = outbox.run(stop.signal);
  try {
    await body({ bus, outbox, signal: stop.signal });
  } finally {
    stop.abort();
    await ended;
  }
}

test("after a gap the newest of a subject goes out, and every event in its order", () =>
  running(async ({ bus, outbox, signal }) => {
    const epochs: number[] = [];
    const texts: string[] = [];
    const follow = { from: "new", signal, service: "test" } as const;
    const roles = (async () => {
      for await (const { message } of followMessages(bus, TOPICS.roles, follow))
        epochs.push(Number(message.epoch));
    })();
    const events = (async () => {
      for await (const { message } of followMessages(bus, TOPICS.events, follow)) texts.push(message.text);
    })();
    bus.setConnected(false);
    for (const epoch of [1, 2, 3]) {
      putRoles(outbox, epoch);
      putEvent(outbox, `event ${epoch}`);
    }
    assert.equal(outbox.waiting(), 4);
    bus.setConnected(true);
    await waitFor(() => texts.length === 3 && epochs.length > 0, { withinMs: WITHIN_MS });
    assert.deepEqual(texts, ["event 1", "event 2", "event 3"]);
    assert.equal(epochs.at(-1), 3);
    assert.ok(epochs.length <= 2, `${epochs}`);
    void roles;
    void events;
  }));

test("what waits is bounded: the oldest goes", () =>
  running(async ({ bus, outbox }) => {
    bus.setConnected(false);
    for (let count = 0; count < 700; count += 1) putEvent(outbox, `event ${count}`);
    assert.equal(outbox.waiting(), 500);
  }));
