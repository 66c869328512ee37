import assert from "node:assert/strict";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Change, invite, type Registry, redeem, remove } from "./registry.ts";
import { readRegistry, writeRegistry } from "./registry-file.ts";

const MINUTE_MS = 60_000;
const addresses = { control: "10.0.0.2:7000", data: "10.1.0.2:7001" };

function done(change: Change): Registry {
  assert.ok(change.done, change.done ? "" : change.why);
  return change.next;
}

function why(change: Change): string {
  assert.equal(change.done, false);
  return change.done ? "" : change.why;
}

const invited = (validMinutes = 0) =>
  done(invite([], { name: "edge-a", secretHash: "h1", validMinutes, nowMs: 0 }));

test("a token is good once", () => {
  const joined = redeem(invited(), { secretHash: "h1", ...addresses, nowMs: MINUTE_MS });
  assert.equal(joined.name, "edge-a");
  const again = redeem(done(joined), { secretHash: "h1", ...addresses, nowMs: MINUTE_MS });
  assert.match(why(again), /used already/);
});

test("a token is good for its time, 15 minutes unless more is asked for", () => {
  assert.match(
    why(redeem(invited(), { secretHash: "h1", ...addresses, nowMs: 15 * MINUTE_MS + 1 })),
    /expired/,
  );
  done(redeem(invited(60), { secretHash: "h1", ...addresses, nowMs: 59 * MINUTE_MS }));
  assert.match(why(invite([], { name: "a", secretHash: "h", validMinutes: 1441, nowMs: 0 })), /at most/);
});

test("a new token takes the unused one back", () => {
  const again = done(invite(invited(), { name: "edge-a", secretHash: "h2", validMinutes: 0, nowMs: 0 }));
  assert.match(why(redeem(again, { secretHash: "h1", ...addresses, nowMs: 0 })), /not known/);
  done(redeem(again, { secretHash: "h2", ...addresses, nowMs: 0 }));
});

test("a name is given once: neither while its host is there nor after it was removed", () => {
  const joined = done(redeem(invited(), { secretHash: "h1", ...addresses, nowMs: 0 }));
  const again = { name: "edge-a", secretHash: "h2", validMinutes: 0, nowMs: 0 };
  assert.match(why(invite(joined, again)), /joined already/);
  const removed = done(remove(joined, "edge-a"));
  assert.match(why(invite(removed, again)), /choose another name/);
  assert.match(why(remove(removed, "edge-a")), /no host/);
});

test("an invitation is taken back by removing it, and its name is free again", () => {
  const none = done(remove(invited(), "edge-a"));
  assert.match(why(redeem(none, { secretHash: "h1", ...addresses, nowMs: 0 })), /not known/);
  done(invite(none, { name: "edge-a", secretHash: "h2", validMinutes: 0, nowMs: 0 }));
});

test("a name that is no DNS label is refused", () => {
  assert.match(why(invite([], { name: "../x", secretHash: "h", validMinutes: 0, nowMs: 0 })), /DNS label/);
});

test("the file is private, says the same again, and a broken one is not taken for none", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "understudy-registry-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "data", "hosts.json");
  assert.deepEqual(readRegistry(file), []);
  writeRegistry(file, invited());
  assert.deepEqual(readRegistry(file), invited());
  assert.equal(statSync(file).mode & 0o777, 0o600);
  writeFileSync(file, "{");
  assert.throws(() => readRegistry(file), /cannot be read/);
});
