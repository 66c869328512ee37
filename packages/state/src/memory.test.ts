import assert from "node:assert/strict";
import { test } from "node:test";
import { storeContract } from "./contract.ts";
import { memoryStore } from "./memory.ts";

storeContract(async () => memoryStore({ nowMs: () => performance.now() }));

test("a memory store that is away refuses every call, and remembers when it is back", async () => {
  const store = memoryStore({ nowMs: () => 0 });
  await store.claim({ resource: "app", epoch: 1, coordinator: "host-a", ttlMs: 1000 });
  store.setAway(true);
  await assert.rejects(store.read("app"), { code: "unreachable" });
  store.setAway(false);
  assert.equal((await store.read("app")).claim?.epoch, 1);
});
