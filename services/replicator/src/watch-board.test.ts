import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ReplicationStateSchema } from "@understudy/wire/gen/replication";
import { RoleChangedSchema } from "@understudy/wire/gen/role";
import { createWatchBoard } from "./watch-board.ts";

function roles(epoch: number, ...names: string[]) {
  return create(RoleChangedSchema, { epoch: BigInt(epoch), instances: names.map((name) => ({ name })) });
}
function state(instance: string, lagMs: number) {
  return create(ReplicationStateSchema, { instance, lagMs });
}

/** The next `count` updates, in short. */
async function take(
  updates: AsyncGenerator<{ update: { case?: string | undefined; value?: unknown } }>,
  count: number,
) {
  const taken: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const { update } = (await updates.next()).value!;
    const value = update.value as { epoch?: bigint; instance?: string; lagMs?: number };
    taken.push(update.case === "roles" ? `epoch ${value.epoch}` : `${value.instance} ${value.lagMs}`);
  }
  return taken;
}

test("a watcher gets what holds at once, then every change of its resource", async () => {
  const board = createWatchBoard();
  const stop = new AbortController();
  board.setRoles("app", roles(1, "app-1", "app-2"));
  board.setState("app", state("app-2", 7));
  board.setRoles("other", roles(9));
  const updates = board.watch("app", stop.signal);
  assert.deepEqual(await take(updates, 2), ["epoch 1", "app-2 7"]);
  const next = take(updates, 1);
  board.setRoles("other", roles(10));
  board.setRoles("app", roles(2, "app-1", "app-2"));
  assert.deepEqual(await next, ["epoch 2"]);
  stop.abort();
  assert.equal((await updates.next()).done, true);
});

test("a slow watcher gets the newest of each, once", async () => {
  const board = createWatchBoard();
  const stop = new AbortController();
  board.setRoles("app", roles(1, "app-1"));
  const updates = board.watch("", stop.signal);
  assert.deepEqual(await take(updates, 1), ["epoch 1"]);
  for (const epoch of [2, 3, 4]) board.setRoles("app", roles(epoch, "app-1"));
  for (const lagMs of [5, 6]) board.setState("app", state("app-1", lagMs));
  assert.deepEqual(await take(updates, 2), ["epoch 4", "app-1 6"]);
  stop.abort();
});

test("the state of an instance that is no more is forgotten", () => {
  const board = createWatchBoard();
  board.setRoles("app", roles(1, "app-1", "app-2"));
  board.setState("app", state("app-2", 7));
  board.setRoles("app", roles(1, "app-1"));
  assert.deepEqual(board.states("app"), []);
});
