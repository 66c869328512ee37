import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ReplicationStateSchema } from "@understudy/wire/gen/replication";
import { createRepeats, repeatMs } from "./repeats.ts";

const state = (instance: string, lagMs: number, wallMs = 0) =>
  create(ReplicationStateSchema, {
    instance,
    lagMs,
    header: { time: { wallMs: BigInt(wallMs), counter: 0 } },
  });

test("a change is said at once, the same again only four times within the staleness it is trusted for", () => {
  const repeats = createRepeats();
  const said = (lagMs: number, nowMs: number) =>
    repeats
      .due("app", {
        states: [state("app-1", 0, nowMs), state("app-2", lagMs, nowMs)],
        maxStalenessMs: 2_000,
        nowMs,
      })
      .map(({ instance }) => instance);
  assert.deepEqual(said(0, 0), ["app-1", "app-2"]);
  assert.deepEqual(said(0, 200), []);
  assert.deepEqual(said(7, 400), ["app-2"]);
  assert.deepEqual(said(7, 500), ["app-1"]);
  assert.deepEqual(said(7, 800), []);
  assert.deepEqual(said(7, 900), ["app-2"]);
});

test("a look that comes a little early counts, or the next word would come a whole look too late", () => {
  const repeats = createRepeats();
  const due = (nowMs: number) =>
    repeats.due("app", { states: [state("app-1", 0)], maxStalenessMs: 400, nowMs }).length;
  assert.deepEqual([0, 190, 390, 500].map(due), [1, 1, 1, 0]);
});

test("resources are apart, and an instance that comes back is new", () => {
  const repeats = createRepeats();
  const due = (resource: string, names: string[]) =>
    repeats.due(resource, { states: names.map((name) => state(name, 0)), maxStalenessMs: 2_000, nowMs: 0 })
      .length;
  assert.equal(due("app", ["app-1", "app-2"]), 2);
  assert.equal(due("other", ["app-1"]), 1);
  assert.equal(due("app", ["app-1"]), 0);
  assert.equal(due("app", ["app-1", "app-2"]), 1);
  repeats.forget("app");
  assert.equal(due("app", ["app-1", "app-2"]), 2, "one that was let go is new when it is configured again");
});

test("the pause between repeats is bounded on both sides", () => {
  assert.deepEqual([100, 2_000, 60_000].map(repeatMs), [200, 500, 1_000]);
});
