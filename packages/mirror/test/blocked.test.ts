/**
 * A seed where datagrams do not get through, from the start or from some moment on: it arrives all the same, over TLS.
 * The firewall is real; so this file runs itself again in a network namespace of its own, which takes root.
 */

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { randomFillSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { attach, caughtUp, openWorld, until } from "./ends.ts";

const INSIDE = "UNDERSTUDY_TEST_NAMESPACE";
const BYTES = 24 * 1024 * 1024;
const FILE = new URL(import.meta.url).pathname;
const DROP = ["-p", "udp", "-j", "DROP"];

function firewall(verb: "-A" | "-D"): void {
  execFileSync("iptables", [verb, "INPUT", ...DROP], { stdio: ["ignore", "ignore", "pipe"] });
}

/** Undefined when there can be a namespace with a firewall. */
function missing(): string | undefined {
  const script = "ip link set lo up && iptables -A INPUT -p udp -j DROP";
  const { status, stderr, error } = spawnSync("unshare", ["-n", "sh", "-c", script], { encoding: "utf8" });
  return status === 0 ? undefined : `no network namespace with a firewall: ${error?.message ?? stderr}`;
}

if (process.env[INSIDE]) {
  test("where datagrams are dropped a seed goes over TLS and nobody has to do anything", async (t) => {
    firewall("-A");
    t.after(() => firewall("-D"));
    const world = await openWorld(t);
    writeFileSync(world.at("one", "a"), randomFillSync(Buffer.alloc(BYTES)));
    const listener = await world.listen();
    const shadow = await world.shadow(listener, { name: "two" });
    const primary = await world.primary({ seedOver: "udp" });
    attach(primary, listener, "two");
    await caughtUp(primary, shadow);
    assert.equal(primary.shadows()[0]!.transport, "tls");
    assert.ok(readFileSync(world.at("one", "a")).equals(readFileSync(world.at("two", "a"))));
    assert.deepEqual(world.errors, []);
  });

  test("where they begin to be dropped in mid-seed it starts over TLS, with one error that says why", async (t) => {
    const world = await openWorld(t);
    writeFileSync(world.at("one", "a"), randomFillSync(Buffer.alloc(BYTES)));
    const listener = await world.listen();
    const shadow = await world.shadow(listener, { name: "two" });
    const primary = await world.primary({ seedOver: "udp", limitMbps: 40 });
    attach(primary, listener, "two");
    await until("the seed is under way", () => primary.shadows()[0]!.seedDoneBytes > BYTES / 4);
    assert.equal(primary.shadows()[0]!.transport, "udp");
    firewall("-A");
    t.after(() => firewall("-D"));
    await caughtUp(primary, shadow);
    assert.equal(primary.shadows()[0]!.transport, "tls");
    assert.ok(readFileSync(world.at("one", "a")).equals(readFileSync(world.at("two", "a"))));
    assert.match(world.errors.map((error) => error.message).join("\n"), /over UDP|closed the connection/);
  });
} else {
  const reason = missing();
  test("seeds behind a firewall that drops datagrams", { skip: reason ?? false }, () => {
    const { status, stdout } = spawnSync(
      "unshare",
      ["-n", "sh", "-c", `ip link set lo up && exec "$@"`, "sh"].concat([process.execPath, FILE]),
      {
        encoding: "utf8",
        env: { ...process.env, [INSIDE]: "1", NODE_TEST_CONTEXT: "" },
      },
    );
    assert.equal(status, 0, stdout);
    assert.match(stdout, /pass 2/);
  });
}
