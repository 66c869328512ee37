import assert from "node:assert/strict";
import { test } from "node:test";
import { turnstile } from "./turnstile.ts";

function gate() {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open: () => open(), opened };
}

test("calls that come while one is under way share the next", async () => {
  const { open, opened } = gate();
  let runs = 0;
  const { shared } = turnstile(async () => {
    runs += 1;
    const run = runs;
    await opened;
    return run;
  });
  const first = shared();
  await Promise.resolve();
  const rest = [shared(), shared(), shared()];
  open();
  assert.equal(await first, 1);
  assert.deepEqual(await Promise.all(rest), [2, 2, 2]);
  assert.equal(runs, 2);
});

test("one at a time, and a failure is its caller's alone", async () => {
  let inside = 0;
  let most = 0;
  const { shared, exclusive } = turnstile(async () => "sealed");
  const work = (fails: boolean) =>
    exclusive(async () => {
      inside += 1;
      most = Math.max(most, inside);
      await Promise.resolve();
      inside -= 1;
      if (fails) throw new Error("mine");
    });
  const bad = work(true);
  const good = [work(false), work(false), shared()];
  await assert.rejects(bad, /mine/);
  await Promise.all(good);
  assert.equal(most, 1);
});
