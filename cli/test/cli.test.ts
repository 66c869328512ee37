/** The command line as people run it: exit codes, sentences, and a real bus behind them. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { text } from "node:stream/consumers";
import { before, type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import type { Bus } from "@understudy/bus/bus";
import { connectJetStream, ensureStreams } from "@understudy/bus/jetstream";
import { publishMessage } from "@understudy/bus/messages";
import { subjectOf, TOPICS } from "@understudy/bus/topics";
import { createAuthority, issueCertificate } from "@understudy/service/tls";
import { accessOf } from "@understudy/testkit/cluster";
import { writeContext } from "@understudy/testkit/context";
import { freePort } from "@understudy/testkit/ports";
import { processRun } from "@understudy/testkit/run";
import { type NatsServer, startNats } from "@understudy/testkit/servers/nats";
import { startRedis } from "@understudy/testkit/servers/redis";
import { EventSchema } from "@understudy/wire/gen/event";
import { RoleChangedSchema } from "@understudy/wire/gen/role";
import { headerToWire } from "@understudy/wire/header";
import { understudy } from "./run-cli.ts";

const EXAMPLE = resolve(import.meta.dirname, "../../examples/understudy.yaml");

let nats: NatsServer;
let context: string;

before(async () => {
  const run = processRun();
  nats = await startNats();
  await ensureStreams(accessOf(nats, "admin"));
  const redis = await startRedis();
  const tlsDir = join(run.folder, "tls");
  await issueCertificate(await createAuthority(join(run.folder, "ca")), { name: "cli", dir: tlsDir });
  // Nobody listens there.
  const nobody = `127.0.0.1:${await freePort()}`;
  context = join(run.folder, "context.json");
  writeContext(context, {
    version: 1,
    nats: { url: nats.url, ...nats.credentials("cli") },
    redis: { url: redis.url, passwordFile: redis.passwordFile },
    tlsDir,
    grpc: { replicator: nobody, health: nobody, balancer: nobody },
    probes: {},
  });
});

async function busAs(t: TestContext, user: Parameters<NatsServer["credentials"]>[0]): Promise<Bus> {
  const bus = await connectJetStream({ ...accessOf(nats, user), name: "test" });
  t.after(() => bus.close());
  return bus;
}

test("help ends with 0, an unknown command and a wrong option with 2", async () => {
  const [help, unknown, wrong] = await Promise.all([
    understudy(["--help"]),
    understudy(["nonsense"]),
    understudy(["explain", "catalog", "-n", "0"]),
  ]);
  assert.equal(help.code, 0);
  assert.match(help.out, /apply/);
  assert.deepEqual([unknown.code, unknown.out], [2, ""]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.err, /whole number/);
});

test("the context file is for its owner alone", () => {
  assert.equal(statSync(context).mode & 0o777, 0o600);
});

test("an invalid configuration changes nothing and ends with 2", async (t) => {
  const bus = await busAs(t, "cli");
  const before = await bus.last(subjectOf(TOPICS.config));
  const refused = await understudy(["apply", "--context", context, "-f", "-"], "pools:\n  - name: Web\n");
  assert.equal(refused.code, 2);
  assert.match(refused.err, /standard input:2: pools\[0\]\.name: must be a DNS label/);
  assert.deepEqual(await bus.last(subjectOf(TOPICS.config)), before);
});

test("applying puts the file on the bus under the next revision", async (t) => {
  const first = await understudy(["apply", "--context", context, "-f", EXAMPLE, "-o", "json"]);
  const second = await understudy(["apply", "--context", context, "-f", EXAMPLE, "-o", "json"]);
  assert.equal(first.code, 0, first.err);
  const revisions = [first, second].map(({ out }) => (JSON.parse(out) as { revision: number }).revision);
  assert.equal(revisions[1], revisions[0]! + 1);
  const bus = await busAs(t, "cli");
  assert.match(Buffer.from((await bus.last(subjectOf(TOPICS.config)))!.data).toString(), /name: catalog/);
});

test("events are printed in the order they came, and only of the resource asked for", async (t) => {
  const bus = await busAs(t, "replicator");
  for (const [resource, words] of [
    ["orders", "first"],
    ["orders", "second"],
    ["carts", "other"],
  ] as const) {
    const header = headerToWire({ resource, time: { wallMs: Date.now(), counter: 0 }, source: "test" });
    const message = create(EventSchema, { header, kind: "test", text: words, instance: "" });
    await publishMessage(bus, TOPICS.events, { names: [resource], message });
  }
  const { code, out } = await understudy(["events", "--context", context, "--resource", "orders"]);
  assert.equal(code, 0);
  assert.deepEqual(
    out
      .trim()
      .split("\n")
      .map((line) => line.split(" ").at(-1)),
    ["first", "second"],
  );
});

test("state recover puts the store above the epoch that was announced last, and never lowers it", async (t) => {
  const bus = await busAs(t, "replicator");
  const header = headerToWire({ resource: "orders", time: { wallMs: 1, counter: 0 }, source: "test" });
  const message = create(RoleChangedSchema, { header, epoch: 7n });
  await publishMessage(bus, TOPICS.roles, { names: ["orders"], message });
  const recover = ["state", "recover", "orders", "--context", context, "-o", "json"];
  const first = await understudy(recover);
  assert.equal(first.code, 0, first.err);
  assert.deepEqual(JSON.parse(first.out), { resource: "orders", epoch: 8 });
  assert.deepEqual(JSON.parse((await understudy([...recover, "--epoch", "3"])).out), {
    resource: "orders",
    epoch: 8,
  });
});

test("a service that is away is one sentence with its address, and 1", async () => {
  const { code, out, err } = await understudy(["status", "--context", context]);
  assert.deepEqual([code, out], [1, ""]);
  assert.match(err, /^understudy: the replicator at 127\.0\.0\.1:\d+ does not answer: is it running\?\n$/);
});

test("a context that is none is refused with 2", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "context-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "a.json"), '{"version":2}');
  const { code, err } = await understudy(["status", "--context", join(folder, "a.json")]);
  assert.equal(code, 2);
  assert.match(err, /is no context file: version/);
});

test("the entry script works through a symbolic link, from anywhere, with an empty environment", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "entry-"));
  t.after(() => rmSync(folder, { recursive: true }));
  symlinkSync(resolve(import.meta.dirname, "../../understudy"), join(folder, "us"));
  const child = spawn("./us", ["version"], {
    cwd: folder,
    env: { PATH: process.env.PATH, HOME: folder },
    stdio: "pipe",
  });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^understudy \d/);
});

test("without node the entry script says how to get it", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "bare-"));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of ["readlink", "dirname", "find", "cat"]) {
    writeFileSync(join(folder, name), `#!/bin/sh\nexec /usr/bin/${name} "$@"\n`);
    chmodSync(join(folder, name), 0o755);
  }
  // A copy elsewhere has no node_modules, so it must install, for which it needs node.
  const script = resolve(import.meta.dirname, "../../understudy");
  symlinkSync("/bin/sh", join(folder, "sh"));
  const copy = join(folder, "understudy");
  copyFileSync(script, copy);
  const child = spawn("/bin/sh", [copy, "version"], { env: { PATH: folder }, stdio: "pipe" });
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  assert.equal(code, 1);
  for (const words of [
    "no node on PATH",
    "apt-get install nodejs npm",
    "brew install node",
    "dnf install",
    "apk add",
  ]) {
    assert(err.includes(words), `${words} is not in ${err}`);
  }
});
