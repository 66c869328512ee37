import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as rules from "./rules.ts";
import type { Member } from "./store.ts";

const HOSTS = ["host-a", "host-b", "host-c"] as const;

/** What callers may try, with right, stale and made-up values in any order. */
const attempt = fc.record({
  call: fc.constantFrom("claim", "commit", "renew", "set-in-sync", "abandon", "recover", "wait"),
  host: fc.constantFrom(...HOSTS),
  epochOffset: fc.integer({ min: -1, max: 2 }),
  member: fc.integer({ min: 1, max: 3 }),
  members: fc.subarray([1, 2, 3]),
  revisionOffset: fc.constantFrom(0, 0, 0, -1),
});
type Attempt = typeof attempt extends fc.Arbitrary<infer T> ? T : never;

const memberOf = (number: number): Member => ({ instance: `app-${number}`, incarnation: "i" });

function apply(kept: rules.Kept, move: Attempt, storeMs: number): rules.Ruling<unknown> {
  const epoch = kept.epoch + move.epochOffset;
  const members = move.members.map(memberOf);
  switch (move.call) {
    case "claim":
      return rules.claim(kept, { epoch, coordinator: move.host, ttlMs: 100 }, storeMs);
    case "commit": {
      const request = { epoch, coordinator: move.host, holder: move.host, leaseMs: 3000 };
      return rules.commit(kept, { ...request, primary: memberOf(move.member), inSync: members }, storeMs);
    }
    case "renew":
      return rules.renew(kept, { epoch, holder: move.host }, storeMs);
    case "set-in-sync":
      return rules.setInSync(kept, { epoch, revision: kept.inSyncRevision + move.revisionOffset, members });
    case "abandon":
      return { saved: true, kept: rules.abandon(kept, { epoch, coordinator: move.host }), value: undefined };
    case "recover":
      return { saved: true, kept: rules.recover(kept, { epoch }), value: undefined };
    default:
      return { saved: true, kept, value: undefined };
  }
}

function everyStep(check: (before: rules.Kept, move: Attempt, after: rules.Kept, storeMs: number) => void) {
  fc.assert(
    fc.property(fc.array(attempt, { maxLength: 60 }), (moves) => {
      let kept = rules.emptyKept("app");
      let storeMs = 1000;
      for (const move of moves) {
        if (move.call === "wait") storeMs += 70;
        const ruling = apply(kept, move, storeMs);
        const next = ruling.saved ? ruling.kept : kept;
        check(kept, move, next, storeMs);
        kept = next;
      }
    }),
  );
}

test("whatever is tried, epochs and revisions never go back", () => {
  everyStep((before, _move, after) => {
    assert.ok(after.epoch >= before.epoch);
    assert.ok(after.inSyncRevision >= before.inSyncRevision);
  });
});

test("whatever is tried, the primary changes only with the epoch", () => {
  everyStep((before, _move, after) => {
    if (after.epoch === before.epoch) assert.deepEqual(after.primary, before.primary);
  });
});

test("whatever is tried, a new primary was a member, or the old one again, or the first", () => {
  everyStep((before, move, after) => {
    if (move.call !== "commit" || after.epoch === before.epoch || !before.primary) return;
    const member = before.inSync.some((known) => rules.sameMember(known, after.primary!));
    assert.ok(member || after.primary?.instance === before.primary.instance);
  });
});

test("whatever is tried, the primary is no member of its own in-sync set after a commit", () => {
  everyStep((before, move, after) => {
    if (move.call !== "commit" || after.epoch === before.epoch) return;
    assert.ok(!after.inSync.some((member) => member.instance === after.primary?.instance));
    assert.ok(after.inSync.length <= before.inSync.length);
  });
});

test("whatever is tried, only the coordinator of an open claim commits", () => {
  everyStep((before, move, after, storeMs) => {
    if (move.call !== "commit" || after.epoch === before.epoch) return;
    assert.equal(rules.authorityOf(before, storeMs).claim?.coordinator, move.host);
  });
});
