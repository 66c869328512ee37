/** What every bus keeps to: run over memory.ts and over jetstream.ts on a real server. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { type Context, propagation, ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { EventSchema, RejectSchema } from "@understudy/wire/gen/event";
import { headerToWire } from "@understudy/wire/header";
import type { Bus, BusMessage } from "./bus.ts";
import { followMessages, publishMessage } from "./messages.ts";
import { SUBJECT_PREFIX, subjectOf, TOPICS } from "./topics.ts";

const FIRST_WITHIN_MS = 10_000;

/** `open` gives a bus that no other test uses at the same time; names in subjects are made unique per test. */
export function busContract(open: () => Promise<Bus>): void {
  let count = 0;
  const unique = () => {
    count += 1;
    return `contract-${process.pid}-${count}`;
  };
  const bytes = (text: string) => new TextEncoder().encode(text);
  const text = (message: BusMessage) => new TextDecoder().decode(message.data);

  test("a follower from the last gets the last message of each subject, then new ones in order", async () => {
    await using scope = await opened(open);
    const [one, two] = [unique(), unique()];
    const subject = (instance: string) => subjectOf(TOPICS.health, one, instance);
    await scope.bus.publish(subject(two), bytes("old"));
    await scope.bus.publish(subject(two), bytes("last"));
    const messages = scope.bus.follow(`${SUBJECT_PREFIX}.health.${one}.*`, {
      from: "last",
      signal: scope.signal,
    });
    const seen = messages[Symbol.asyncIterator]();
    assert.equal(text((await seen.next()).value), "last");
    for (const word of ["a", "b", "c"]) await scope.bus.publish(subject(two), bytes(word));
    for (const word of ["a", "b", "c"]) assert.equal(text((await seen.next()).value), word);
  });

  test("the last message of a subject is found, and none where nothing was said", async () => {
    await using scope = await opened(open);
    const subject = subjectOf(TOPICS.weights, unique());
    assert.equal(await scope.bus.last(subject), undefined);
    await scope.bus.publish(subject, bytes("first"));
    await scope.bus.publish(subject, bytes("second"), { traceparent: "x" });
    const last = await scope.bus.last(subject);
    assert.equal(last && text(last), "second");
    assert.equal(last?.headers.traceparent, "x");
  });

  test("a follower ends when its signal aborts", async () => {
    await using scope = await opened(open);
    const messages = scope.bus.follow(TOPICS.roles.filter, { from: "new", signal: scope.signal });
    const next = messages[Symbol.asyncIterator]().next();
    scope.abort();
    assert.equal((await next).done, true);
  });

  test("a subject that no stream keeps is refused", async () => {
    await using scope = await opened(open);
    await assert.rejects(scope.bus.publish("understudy.v1.nonsense", bytes("x")));
    await assert.rejects(async () => {
      const messages = scope.bus.follow("understudy.v1.nonsense", { from: "new", signal: scope.signal });
      for await (const _ of messages) assert.fail("nothing can come");
    }, RangeError);
  });

  test("a message carries the trace of its sender", async () => {
    propagation.setGlobalPropagator(new W3CTraceContextPropagator());
    await using scope = await opened(open);
    const resource = unique();
    const header = headerToWire({ resource, time: { wallMs: 1, counter: 0 }, source: "contract" });
    await publishMessage(scope.bus, TOPICS.events, {
      names: [resource],
      message: create(EventSchema, { header, text: "hello" }),
      trace: SENDER,
    });
    const options = { from: "last", signal: scope.signal, service: "contract", names: [resource] } as const;
    for await (const received of followMessages(scope.bus, TOPICS.events, options)) {
      assert.equal(received.message.text, "hello");
      assert.equal(trace.getSpanContext(received.trace)?.traceId, trace.getSpanContext(SENDER)?.traceId);
      break;
    }
  });

  test("what cannot be read is rejected with its reason, and the follower goes on", async () => {
    await using scope = await opened(open);
    const resource = unique();
    const subject = subjectOf(TOPICS.events, resource);
    const good = (note: string, schema = 1) =>
      toBinary(
        EventSchema,
        create(EventSchema, { header: { schema, resource, source: "contract" }, text: note }),
      );
    const service = unique();
    const options = { from: "new", signal: scope.signal, service } as const;
    const received = followMessages(scope.bus, TOPICS.events, {
      ...options,
      from: "last",
      names: [resource],
    });
    await scope.bus.publish(subject, good("before"));
    assert.equal((await received.next()).value?.message.text, "before");
    await scope.bus.publish(subject, new Uint8Array([0xff, 0xff, 0xff]));
    await scope.bus.publish(subject, toBinary(EventSchema, create(EventSchema, { text: "no header" })));
    await scope.bus.publish(subject, good("from the future", 99));
    await scope.bus.publish(subject, good("after"));
    assert.equal((await received.next()).value?.message.text, "after");
    const last = await scope.bus.last(subjectOf(TOPICS.rejects, service));
    assert.ok(last, "a reject was published");
    const rejects = followMessages(scope.bus, TOPICS.rejects, { ...options, from: "last", names: [service] });
    const reject = (await rejects.next()).value?.message;
    assert.equal(reject?.$typeName, RejectSchema.typeName);
    assert.match(reject?.reason ?? "", /schema version 99/);
    assert.equal(reject?.subject, subject);
  });
}

const SENDER: Context = trace.setSpanContext(ROOT_CONTEXT, {
  traceId: "0af7651916cd43dd8448eb211c80319c",
  spanId: "b7ad6b7169203331",
  traceFlags: TraceFlags.SAMPLED,
});

type Scope = {
  readonly bus: Bus;
  readonly signal: AbortSignal;
  abort(): void;
  [Symbol.asyncDispose](): Promise<void>;
};

async function opened(open: () => Promise<Bus>): Promise<Scope> {
  const bus = await open();
  const stop = new AbortController();
  // A message that never comes must fail the test, not hang it.
  const deadline = setTimeout(() => stop.abort(new Error("no message in time")), FIRST_WITHIN_MS);
  return {
    bus,
    signal: stop.signal,
    abort: () => stop.abort(),
    [Symbol.asyncDispose]: async () => {
      clearTimeout(deadline);
      stop.abort();
      await bus.close();
    },
  };
}
