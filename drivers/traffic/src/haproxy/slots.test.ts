import assert from "node:assert/strict";
import { test } from "node:test";
import { PPM, splitPpm } from "@understudy/model/share";
import fc from "fast-check";
import type { Plan, PlanTarget } from "../driver.ts";
import { changeTo, type PoolState, planOf, type Slot } from "./slots.ts";

const BACKENDS = { reads: "r", writes: "w" };

function emptyState(slots: number): PoolState {
  const closed = { address: "127.0.0.1:1", checkAddress: "", weight: 1, admin: "maint" as const };
  const named = (index: number): Slot => ({
    name: `s${index + 1}`,
    instance: "",
    read: closed,
    write: closed,
  });
  return {
    map: "m",
    mapKeys: new Set(),
    slots: Array.from({ length: slots }, (_, index) => named(index)),
    epoch: 0,
    revision: 0,
  };
}

function target(instance: string, more: Partial<PlanTarget> = {}): PlanTarget {
  return {
    instance,
    address: `${instance}:80`,
    gateAddress: `${instance}:81`,
    readPpm: 0,
    writes: false,
    drain: false,
    ...more,
  };
}

const planOfTargets = (targets: PlanTarget[], revision = 1): Plan => ({
  pool: "web",
  epoch: 1,
  revision,
  targets,
});

function texts(state: PoolState, plan: Plan): string[] {
  return changeTo(state, plan, BACKENDS).commands.map((command) => command.text);
}

test("a first plan fills slots, names them, and opens one write target", () => {
  const plan = planOfTargets([target("a", { readPpm: PPM, writes: true }), target("b")]);
  assert.deepEqual(texts(emptyState(2), plan), [
    "add map m s1 a",
    "set server r/s1 addr a port 80",
    "set server w/s1 addr a port 80",
    "set server w/s1 check-addr a port 81",
    "add map m s2 b",
    "set server r/s2 addr b port 80",
    "set server w/s2 addr b port 80",
    "set server w/s2 check-addr b port 81",
    "set server w/s1 state ready",
    "set server w/s1 health down",
    "set server w/s1 health up",
    "set server r/s1 state ready",
    "set server r/s1 health down",
    "set server r/s1 health up",
    "set server r/s2 weight 0",
    "set server r/s2 state ready",
    "add map m plan 1.1",
  ]);
});

test("a failover closes the old write target before it opens the new one, and touches nothing else", () => {
  const reads = { readPpm: 500_000 };
  const first = changeTo(
    emptyState(2),
    planOfTargets([target("a", { ...reads, writes: true }), target("b", reads)]),
    BACKENDS,
  );
  const change = changeTo(
    first.next,
    { ...planOfTargets([target("a", reads), target("b", { ...reads, writes: true })]), epoch: 2 },
    BACKENDS,
  );
  assert.deepEqual(
    change.commands.map((command) => command.text),
    [
      "set server w/s1 state maint",
      "set server w/s2 state ready",
      "set server w/s2 health down",
      "set server w/s2 health up",
      "set map m plan 2.1",
    ],
  );
  assert.deepEqual(change.closedWrites, ["s1"]);
});

test("an instance that comes back at another address is pointed to anew and counts as healthy", () => {
  const first = changeTo(emptyState(1), planOfTargets([target("a", { readPpm: PPM })]), BACKENDS);
  assert.deepEqual(texts(first.next, planOfTargets([target("a", { readPpm: PPM, address: "a:90" })], 2)), [
    "set server r/s1 addr a port 90",
    "set server w/s1 addr a port 90",
    "set server r/s1 health down",
    "set server r/s1 health up",
    "set map m plan 1.2",
  ]);
});

test("reads move from one target to another through a moment with both, never with none", () => {
  const first = changeTo(
    emptyState(2),
    planOfTargets([target("a", { readPpm: PPM }), target("b")]),
    BACKENDS,
  );
  assert.deepEqual(texts(first.next, planOfTargets([target("a"), target("b", { readPpm: PPM })], 2)), [
    "set server r/s2 weight 1",
    "set server r/s2 health down",
    "set server r/s2 health up",
    "set server r/s1 weight 0",
    "set map m plan 1.2",
  ]);
});

const NAMES = ["a", "b", "c", "d", "e", "f"];
const anyPlan = fc
  .record({
    names: fc.uniqueArray(fc.constantFrom(...NAMES), { maxLength: 4 }),
    weights: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 4, maxLength: 4 }),
    writer: fc.integer({ min: -1, max: 3 }),
    drainer: fc.integer({ min: -1, max: 3 }),
  })
  .map(({ names, weights, writer, drainer }) => {
    const shares = splitPpm(weights.slice(0, names.length));
    return names.map((name, index) =>
      target(name, { readPpm: shares[index]!, writes: index === writer, drain: index === drainer }),
    );
  });

test("after any sequence of plans exactly the last one is in force", () => {
  fc.assert(
    fc.property(fc.array(anyPlan, { minLength: 1, maxLength: 6 }), (plans) => {
      let state = emptyState(4);
      for (const [index, targets] of plans.entries()) {
        state = changeTo(state, planOfTargets(targets, index + 1), BACKENDS).next;
        const inForce = planOf(state, "web")!;
        const describe = (all: readonly PlanTarget[]) =>
          all
            .map(({ instance, address, writes, drain }) => ({ instance, address, writes, drain }))
            .toSorted((a, b) => a.instance.localeCompare(b.instance));
        assert.deepEqual(describe(inForce.targets), describe(targets));
        assert.ok(state.slots.filter((slot) => slot.write.admin !== "maint").length <= 1);
      }
    }),
  );
});

test("repeating a plan only records it again", () => {
  fc.assert(
    fc.property(anyPlan, (targets) => {
      const first = changeTo(emptyState(4), planOfTargets(targets), BACKENDS);
      assert.deepEqual(texts(first.next, planOfTargets(targets)), ["set map m plan 1.1"]);
    }),
  );
});

test("at no step between two plans do two write targets stand open", () => {
  fc.assert(
    fc.property(anyPlan, anyPlan, (before, after) => {
      const first = changeTo(emptyState(4), planOfTargets(before), BACKENDS).next;
      const open = new Set(
        first.slots.filter((slot) => slot.write.admin !== "maint").map((slot) => slot.name),
      );
      for (const { text } of changeTo(first, planOfTargets(after, 2), BACKENDS).commands) {
        const [, slot, state] = /^set server w\/(\S+) state (\S+)/.exec(text) ?? [];
        if (slot && state === "maint") open.delete(slot);
        else if (slot) open.add(slot);
        assert.ok(open.size <= 1);
      }
    }),
  );
});

test("too many targets are refused", () => {
  assert.throws(() => texts(emptyState(1), planOfTargets([target("a"), target("b")])), { code: "no-slot" });
});
