/** What every store keeps to: run over memory.ts and over redis.ts on a real server. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { POSITION_ZERO, type Position } from "@understudy/model/position";
import type { Authority, Member, Outcome, Store } from "./store.ts";

const TTL_MS = 60_000;
const SHORT_TTL_MS = 30;

const one: Member = { instance: "app-1", incarnation: "i1" };
const two: Member = { instance: "app-2", incarnation: "i2" };
const three: Member = { instance: "app-3", incarnation: "i3" };

function position(epoch: number, version: number): Position {
  return { epoch, version, hlc: { wallMs: 1_700_000_000_000, counter: version }, root: "ab".repeat(32) };
}

/** `open` gives the store under test; each test works on a resource of its own. */
export function storeContract(open: () => Promise<Store>): void {
  let count = 0;
  const contract = (title: string, body: (store: Store, resource: string) => Promise<void>) => {
    count += 1;
    const resource = `app-${count}`;
    test(title, async () => {
      const store = await open();
      try {
        await body(store, resource);
      } finally {
        await store.close();
      }
    });
  };

  contract("a resource nobody spoke of has epoch 0, no primary and no members", async (store, resource) => {
    const authority = await store.read(resource);
    assert.deepEqual(authority, {
      resource,
      epoch: 0,
      primary: undefined,
      lease: undefined,
      claim: undefined,
      inSync: [],
      inSyncRevision: 0,
      position: POSITION_ZERO,
    });
  });

  contract("a claim must name exactly the next epoch", async (store, resource) => {
    for (const epoch of [0, 2, 7]) assert.equal(whyOf(await claim(store, resource, { epoch })), "epoch");
    assert.equal((await claim(store, resource, { epoch: 1 })).saved, true);
    assert.equal((await store.read(resource)).epoch, 0);
  });

  contract("a claim keeps other coordinators out and lets its own resume", async (store, resource) => {
    await claim(store, resource, { epoch: 1 });
    const lost = await claim(store, resource, { epoch: 1, coordinator: "host-b" });
    assert.equal(whyOf(lost), "claimed");
    assert.equal(foundIn(lost).claim?.coordinator, "host-a");
    assert.equal((await claim(store, resource, { epoch: 1 })).saved, true);
  });

  contract("an expired claim is free for another and commits nothing", async (store, resource) => {
    await claim(store, resource, { epoch: 1, ttlMs: SHORT_TTL_MS });
    await sleep(SHORT_TTL_MS * 2);
    assert.equal((await store.read(resource)).claim, undefined);
    assert.equal(whyOf(await commit(store, resource, { epoch: 1, primary: one })), "claimed");
    assert.equal((await claim(store, resource, { epoch: 1, coordinator: "host-b" })).saved, true);
  });

  contract("an abandoned claim is free; nobody abandons another's", async (store, resource) => {
    await claim(store, resource, { epoch: 1 });
    await store.abandon({ resource, epoch: 1, coordinator: "host-b" });
    await store.abandon({ resource, epoch: 2, coordinator: "host-a" });
    assert.equal((await store.read(resource)).claim?.coordinator, "host-a");
    await store.abandon({ resource, epoch: 1, coordinator: "host-a" });
    assert.equal((await store.read(resource)).claim, undefined);
  });

  contract("without a claim nothing is committed", async (store, resource) => {
    assert.equal(whyOf(await commit(store, resource, { epoch: 1, primary: one })), "claimed");
  });

  contract("the first commit puts primary, lease and epoch in force", async (store, resource) => {
    const authority = await installed(store, resource, []);
    assert.equal(authority.epoch, 1);
    assert.deepEqual(authority.primary, one);
    assert.deepEqual(authority.lease, { holder: "host-a", sequence: 1, durationMs: 3000 });
    assert.equal(authority.claim, undefined);
    assert.deepEqual(await store.read(resource), authority);
  });

  contract("only members of the in-sync set are promoted, and leave the set", async (store, resource) => {
    await installed(store, resource, [two, three]);
    await claim(store, resource, { epoch: 2 });
    const stranger = { instance: "app-2", incarnation: "i9" };
    assert.equal(whyOf(await commit(store, resource, { epoch: 2, primary: stranger })), "not-member");
    const done = await commit(store, resource, { epoch: 2, primary: two, inSync: [two, three] });
    const authority = savedIn(done);
    assert.deepEqual(authority.primary, two);
    assert.deepEqual(authority.inSync, [three]);
    assert.equal(authority.lease?.sequence, 2);
  });

  contract("a commit never adds a member", async (store, resource) => {
    await installed(store, resource, [two]);
    await claim(store, resource, { epoch: 2 });
    const wider = await commit(store, resource, { epoch: 2, primary: two, inSync: [three] });
    assert.equal(whyOf(wider), "not-member");
  });

  contract("the holder starts the same instance again under a new epoch", async (store, resource) => {
    await installed(store, resource, [two]);
    await claim(store, resource, { epoch: 2 });
    const again = { instance: one.instance, incarnation: "i7" };
    const other = await commit(store, resource, { epoch: 2, primary: again, holder: "host-b" });
    assert.equal(whyOf(other), "not-member");
    const done = savedIn(await commit(store, resource, { epoch: 2, primary: again, inSync: [two] }));
    assert.deepEqual(done.primary, again);
    assert.deepEqual(done.inSync, [two]);
  });

  contract("an epoch is committed once", async (store, resource) => {
    await installed(store, resource, [two]);
    assert.equal(whyOf(await commit(store, resource, { epoch: 1, primary: two })), "epoch");
    assert.equal(whyOf(await claim(store, resource, { epoch: 1 })), "epoch");
  });

  contract("a lease is renewed by its holder in its epoch only", async (store, resource) => {
    await installed(store, resource, []);
    const renewed = await store.renew({ resource, epoch: 1, holder: "host-a" });
    assert.equal(savedIn(renewed).lease?.sequence, 2);
    assert.deepEqual(savedIn(renewed), await store.read(resource));
    assert.equal(whyOf(await store.renew({ resource, epoch: 1, holder: "host-b" })), "not-holder");
    assert.equal(whyOf(await store.renew({ resource, epoch: 2, holder: "host-a" })), "epoch");
  });

  contract("nobody renews under another coordinator's claim", async (store, resource) => {
    await installed(store, resource, [two]);
    await claim(store, resource, { epoch: 2, coordinator: "host-b" });
    assert.equal(whyOf(await store.renew({ resource, epoch: 1, holder: "host-a" })), "claimed");
    await store.abandon({ resource, epoch: 2, coordinator: "host-b" });
    assert.equal((await store.renew({ resource, epoch: 1, holder: "host-a" })).saved, true);
  });

  contract("the in-sync set changes only from the revision seen", async (store, resource) => {
    const { inSyncRevision: revision } = await installed(store, resource, [two]);
    const members = [two, three];
    const saved = await store.setInSync({ resource, epoch: 1, revision, members });
    assert.equal(savedIn(saved), revision + 1);
    const late = await store.setInSync({ resource, epoch: 1, revision, members: [] });
    assert.equal(whyOf(late), "revision");
    assert.deepEqual(foundIn(late).inSync, members);
    const stale = await store.setInSync({ resource, epoch: 0, revision: revision + 1, members: [] });
    assert.equal(whyOf(stale), "epoch");
  });

  contract("a position is saved in its epoch and never goes back", async (store, resource) => {
    await installed(store, resource, [two]);
    const save = (at: Position) => store.savePosition({ resource, position: at });
    assert.equal((await save(position(1, 5))).saved, true);
    assert.equal((await save(position(1, 5))).saved, true);
    assert.equal(whyOf(await save(position(1, 4))), "version");
    assert.equal(whyOf(await save(position(2, 9))), "epoch");
    assert.deepEqual((await store.read(resource)).position, position(1, 5));
    await claim(store, resource, { epoch: 2 });
    await commit(store, resource, { epoch: 2, primary: two });
    assert.equal(whyOf(await save(position(1, 8))), "epoch");
    assert.equal((await save(position(2, 3))).saved, true);
  });

  contract("a shadow's state never goes back within an incarnation", async (store, resource) => {
    await installed(store, resource, []);
    const save = (member: Member, at: Position) => store.saveShadow({ resource, member, position: at });
    assert.equal(await store.readShadow(resource, two.instance), undefined);
    assert.equal((await save(two, position(1, 5))).saved, true);
    assert.equal(whyOf(await save(two, position(1, 4))), "version");
    assert.equal(whyOf(await save(two, position(2, 6))), "epoch");
    assert.equal(whyOf(await save(two, position(0, 9))), "epoch");
    const again = { ...two, incarnation: "i8" };
    assert.equal((await save(again, position(1, 2))).saved, true);
    const found = await store.readShadow(resource, two.instance);
    assert.deepEqual(found, { member: again, position: position(1, 2) });
  });

  contract(
    "recovery puts the store above the epoch that was reached, and forgets what an older state said of the set",
    async (store, resource) => {
      await installed(store, resource, [two]);
      const lower = await store.recover({ resource, epoch: 0 });
      assert.deepEqual(lower.primary, one);
      const same = await store.recover({ resource, epoch: 1 });
      assert.equal(same.epoch, 2);
      assert.equal(same.primary, undefined);
      const raised = await store.recover({ resource, epoch: 9 });
      assert.equal(raised.epoch, 10);
      assert.deepEqual(await store.recover({ resource, epoch: 9 }), raised);
      assert.equal(raised.primary, undefined);
      assert.equal(raised.lease, undefined);
      assert.deepEqual(raised.inSync, []);
      assert.equal((await claim(store, resource, { epoch: 11 })).saved, true);
    },
  );

  contract("of many coordinators at once exactly one claims", async (store, resource) => {
    const hosts = Array.from({ length: 20 }, (_, index) => `host-${index}`);
    const outcomes = await Promise.all(
      hosts.map((coordinator) => claim(store, resource, { epoch: 1, coordinator })),
    );
    assert.equal(outcomes.filter((outcome) => outcome.saved).length, 1);
  });
}

function claim(
  store: Store,
  resource: string,
  { epoch, coordinator = "host-a", ttlMs = TTL_MS }: { epoch: number; coordinator?: string; ttlMs?: number },
) {
  return store.claim({ resource, epoch, coordinator, ttlMs });
}

function commit(
  store: Store,
  resource: string,
  {
    epoch,
    primary,
    inSync = [],
    holder = "host-a",
  }: { epoch: number; primary: Member; inSync?: readonly Member[]; holder?: string },
) {
  return store.commit({ resource, epoch, coordinator: "host-a", primary, holder, leaseMs: 3000, inSync });
}

/** `app-1` as primary of epoch 1, with these members. */
async function installed(store: Store, resource: string, members: readonly Member[]): Promise<Authority> {
  await claim(store, resource, { epoch: 1 });
  const { inSyncRevision: revision } = savedIn(await commit(store, resource, { epoch: 1, primary: one }));
  if (members.length > 0) await store.setInSync({ resource, epoch: 1, revision, members });
  return store.read(resource);
}

function savedIn<T>(outcome: Outcome<T>): T {
  assert.ok(outcome.saved, "refused");
  return outcome.value;
}
function whyOf(outcome: Outcome<unknown>): string {
  return outcome.saved ? "saved" : outcome.why;
}
function foundIn(outcome: Outcome<unknown>): Authority {
  assert.ok(!outcome.saved, "saved");
  return outcome.found;
}
