import assert from "node:assert/strict";
import { test } from "node:test";
import type { ShadowProgress } from "@understudy/mirror/engine";
import { POSITION_ZERO } from "@understudy/model/position";
import { milestones, type Seeding, seedings } from "./seeding.ts";

function at(phase: ShadowProgress["phase"], seedDoneBytes: number): ShadowProgress {
  return {
    instance: "catalog-2",
    incarnation: "i1",
    transport: "tls",
    phase,
    durable: POSITION_ZERO,
    visible: POSITION_ZERO,
    lagMs: 0,
    lagVersions: 0,
    lagBytes: 0,
    seedBytes: 0,
    deltaBytes: 0,
    seedDoneBytes,
    seedTotalBytes: 10_000_000,
  };
}

test("a copy at a steady rate says the rate and what is left", () => {
  let seen: readonly Seeding[] = [];
  for (let step = 0; step <= 25; step += 1)
    seen = seedings(seen, [at("seeding", step * 200_000)], step * 200);
  const [copy] = seen;
  assert.equal(Math.round(copy!.rate), 1_000_000);
  assert.equal(Math.round(copy!.etaMs!), 5_000);
});

test("a copy that begins anew has no rate, and nobody knows how long it takes", () => {
  const before = seedings(seedings([], [at("seeding", 0)], 0), [at("seeding", 500)], 200);
  const [again] = seedings(before, [at("seeding", 0)], 400);
  assert.deepEqual([again!.rate, again!.etaMs], [0, undefined]);
});

test("its begin and its end are told once each, with what it took", () => {
  const none: readonly Seeding[] = [];
  const begun = seedings(none, [at("seeding", 0)], 1_000);
  const under = seedings(begun, [at("seeding", 5_000_000)], 2_000);
  const done = seedings(under, [at("live", 10_000_000)], 3_500);
  const told = [
    ...milestones(none, begun),
    ...milestones(begun, under),
    ...milestones(under, done),
    ...milestones(done, done),
  ];
  assert.deepEqual(
    told.map(({ text }) => text),
    ["catalog-2 is being copied to", "catalog-2 is up to date: 10.0 MB copied in 2.5 s"],
  );
});
