import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { BusError } from "./bus.ts";
import { busContract } from "./contract.ts";
import { matches, memoryBus } from "./memory.ts";
import { streamOf, subjectOf, TOPICS } from "./topics.ts";

describe("memory bus", () => {
  busContract(async () => memoryBus());

  test("publishing while it is away throws, and followers wait", async () => {
    const bus = memoryBus();
    bus.setConnected(false);
    assert.equal(bus.connected(), false);
    await assert.rejects(bus.publish(subjectOf(TOPICS.roles, "catalog"), new Uint8Array()), BusError);
  });
});

describe("topics", () => {
  test("every topic is kept by a stream", () => {
    for (const { filter } of Object.values(TOPICS)) assert.ok(streamOf(filter));
  });

  test("a subject takes exactly its names, and no wildcard among them", () => {
    assert.equal(subjectOf(TOPICS.lbApplied, "web"), "understudy.v1.lb.web.applied");
    assert.throws(() => subjectOf(TOPICS.health, "catalog"), RangeError);
    assert.throws(() => subjectOf(TOPICS.roles, "a", "b"), RangeError);
    assert.throws(() => subjectOf(TOPICS.roles, ">"), RangeError);
    assert.throws(() => subjectOf(TOPICS.roles, "a.b"), RangeError);
  });

  test("a filter matches word by word", () => {
    assert.ok(matches("a.*.c", "a.b.c"));
    assert.ok(!matches("a.*", "a.b.c"));
    assert.ok(!matches("a.b", "a.c"));
  });
});
