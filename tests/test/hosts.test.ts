/**
 * Two machines, as far as the network can tell: replicators as processes in namespaces of their own, one enrolled by token. The shadow's
 * data goes over the dedicated link. Then the primary's machine is cut off: its primary stops itself, and the other one leads.
 */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { connectJetStream, ensureStreams } from "@understudy/bus/jetstream";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import { connectGrpc } from "@understudy/service/grpc";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { accessOf } from "@understudy/testkit/cluster";
import { writeContext } from "@understudy/testkit/context";
import { type Network, type NetworkHost, openNetwork, whyNoNetwork } from "@understudy/testkit/namespaces";
import { openRun, type Run } from "@understudy/testkit/run";
import { type NatsServer, startNats } from "@understudy/testkit/servers/nats";
import { type RedisServer, startRedis } from "@understudy/testkit/servers/redis";
import { waitFor } from "@understudy/testkit/wait";
import { ReplicationControl, type ResourceStatus, StatusRequestSchema } from "@understudy/wire/gen/control";
import { type Instance, InstancePhase } from "@understudy/wire/gen/role";

const ROOT = resolve(import.meta.dirname, "../..");
const CLI = join(ROOT, "cli/src/main.ts");
const CATALOG = join(ROOT, "examples/catalog/src/main.ts");
const REPLICATOR = join(ROOT, "services/replicator/src/main.ts");
/** Half of it outlasts what a busy machine makes a replicator wait. */
const LEASE_MS = 6_000;
const WITHIN_MS = 120_000;
const RESTART_AFTER_MS = 500;
const LOG_LINES = 40;
const [GRPC, DATA, ENROL] = [7443, 7444, 7445];

const skip = whyNoNetwork() ?? false;
let run: Run;
let network: Network;
let nats: NatsServer;
let redis: RedisServer;
let context: string;
let tls: string;
let passed = false;
let over = false;
const proxies: Server[] = [];
const children: ChildProcess[] = [];

before(async () => {
  if (skip) return;
  run = openRun();
  network = openNetwork(["edge-a", "edge-b"]);
  [nats, redis] = await Promise.all([startNats({ run }), startRedis({ run })]);
  await ensureStreams(accessOf(nats, "admin"));
  tls = join(run.folder, "tls");
  const authority = await createAuthority(join(tls, "authority"));
  for (const name of ["replicator-edge-a", "cli", "app-catalog"])
    await issueCertificate(authority, { name, dir: join(tls, name) });
  context = join(run.folder, "context.json");
  const nobody = `${network.address}:1`;
  writeContext(context, {
    version: 1,
    nats: { url: nats.url, ...nats.credentials("cli") },
    tlsDir: join(tls, "cli"),
    grpc: { replicator: `${network.hosts[0]!.address}:${GRPC}`, health: nobody, balancer: nobody },
    probes: {},
  });
});

after(async () => {
  if (skip) return;
  if (!passed) for (const { name } of network.hosts) process.stderr.write(`${name}:\n${logOf(name)}\n`);
  over = true;
  for (const child of children) child.kill("SIGKILL");
  for (const proxy of proxies) proxy.close();
  await Promise.all([nats.stop(), redis.stop()]);
  await run.close();
  network.close();
});

/** The last of what its replicator said. */
function logOf(host: string): string {
  const file = join(run.folder, host, "replicator.log");
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(-LOG_LINES).join("\n") : "nothing";
}

/** Servers of tests listen on loopback, where no other machine finds them. */
async function onTheSwitch(url: string): Promise<string> {
  const { protocol, port } = new URL(url);
  const server = createServer((socket) => {
    const onward = connect({ host: "127.0.0.1", port: Number(port) });
    socket.pipe(onward).pipe(socket);
    for (const end of [socket, onward])
      end.on("error", () => undefined).on("close", () => [socket, onward].map((each) => each.destroy()));
  });
  proxies.push(server);
  server.listen(0, network.address);
  await once(server, "listening");
  return `${protocol}//${network.address}:${(server.address() as { port: number }).port}`;
}

/** As a supervisor: what ends by itself is started again. */
function startOn(host: NetworkHost, env: Readonly<Record<string, string>>): void {
  const folder = join(run.folder, host.name);
  mkdirSync(folder, { recursive: true });
  const log = openSync(join(folder, "replicator.log"), "a");
  const { PATH, HOME } = process.env;
  const all = { PATH, HOME, UNDERSTUDY_RUN: run.id, UNDERSTUDY_LOG_LEVEL: "info", ...env };
  const start = () => {
    if (over) return;
    const child = host.spawn(process.execPath, [REPLICATOR], { env: all, stdio: ["ignore", log, log] });
    children.push(child);
    child.once("exit", () => setTimeout(start, RESTART_AFTER_MS).unref());
  };
  start();
}

function cli(args: readonly string[], host = network.hosts[0]!): Promise<string> {
  return host.run(process.execPath, [CLI, "--context", context, ...args]);
}

async function status(host: NetworkHost): Promise<ResourceStatus | undefined> {
  const client = connectGrpc(ReplicationControl, `${host.address}:${GRPC}`, readTls(join(tls, "cli")));
  try {
    const { resources } = await client.status(create(StatusRequestSchema, { resource: "catalog" }));
    return resources[0];
  } catch {
    return undefined;
  } finally {
    client.close();
  }
}

/** What a host tells once it has a primary and a shadow in sync, on these hosts. */
async function settled(
  host: NetworkHost,
  where: { primary: string; shadow: string },
): Promise<{ primary: Instance; shadow: Instance }> {
  return waitFor(
    async () => {
      const found = await status(host);
      const roles = found?.roles;
      const serving = roles?.instances.filter((each) => each.phase === InstancePhase.SERVING) ?? [];
      const primary = serving.find(({ name, host: at }) => name === roles?.primary && at === where.primary);
      const shadow = serving.find(
        ({ name, host: at }) => found?.inSync.includes(name) && at === where.shadow,
      );
      return primary && shadow && { primary, shadow };
    },
    { withinMs: WITHIN_MS, what: `a primary on ${where.primary} and a shadow on ${where.shadow}` },
  );
}

function order(key: string): string[] {
  const body = JSON.stringify({ product: 5, quantity: 1 });
  const script = `fetch("http://"+process.argv[1]+"/orders",{method:"POST",signal:AbortSignal.timeout(3000),headers:{"content-type":"application/json","idempotency-key":"${key}"},body:'${body}'}).then(r=>console.log(r.status),()=>console.log(0))`;
  return ["-e", script];
}

/** As a client on this host's own machine would write. */
async function write(from: NetworkHost, address: string, key: string): Promise<number> {
  return Number((await from.run(process.execPath, [...order(key), address])).trim());
}

/** With the same key again and again: it is done once. */
async function written(from: NetworkHost, address: string, key: string): Promise<void> {
  const done = async () => (await write(from, address, key)) === 201 || undefined;
  await waitFor(done, { withinMs: WITHIN_MS, what: `a critical write at ${address}` });
}

test("a machine joins by token, keeps the shadow, and leads when the primary's machine is cut off", {
  skip,
  timeout: 400_000,
}, async (t) => {
  const [a, b] = network.hosts as [NetworkHost, NetworkHost];
  const natsAt = nats.credentials("replicator");
  const [natsUrl, redisUrl] = [await onTheSwitch(nats.url), await onTheSwitch(redis.url)];
  startOn(a, {
    UNDERSTUDY_HOST: "edge-a",
    UNDERSTUDY_NATS_URL: natsUrl,
    UNDERSTUDY_NATS_USER: natsAt.user,
    UNDERSTUDY_NATS_PASSWORD: readFileSync(natsAt.passwordFile, "utf8").trim(),
    UNDERSTUDY_REDIS_URL: redisUrl,
    UNDERSTUDY_REDIS_PASSWORD: readFileSync(redis.passwordFile, "utf8").trim(),
    UNDERSTUDY_HEALTH_GRPC: `${network.address}:1`,
    UNDERSTUDY_TLS_DIR: join(tls, "replicator-edge-a"),
    UNDERSTUDY_DATA_DIR: join(run.folder, "edge-a", "data"),
    UNDERSTUDY_GRPC_LISTEN: `${a.address}:${GRPC}`,
    UNDERSTUDY_AUTHORITY_DIR: join(tls, "authority"),
    UNDERSTUDY_ENROL_LISTEN: `${a.address}:${ENROL}`,
  });
  const addressesOf = (host: NetworkHost) =>
    [`${host.address}:${GRPC}`, `${host.dataAddress}:${DATA}`] as const;
  const invite = async () =>
    JSON.parse(await cli(["host", "add", "edge-b", "-o", "json"])) as { token: string };
  const { token } = await waitFor(
    async () => {
      try {
        return await invite();
      } catch {
        return undefined;
      }
    },
    { withinMs: WITHIN_MS, what: "edge-a's replicator" },
  );

  const dir = join(run.folder, "edge-b", "host");
  const [control, data] = addressesOf(b);
  const join_ = (into: string) =>
    cli(["join", token, "--control", control, "--data", data, "--dir", into], b);
  assert.match(await join_(dir), /this machine is edge-b now/);
  await assert.rejects(join_(`${dir}-2`), /used already/);
  assert.match(await cli(["host", "list"]), /edge-b +joined, not configured/);
  const settings = Object.fromEntries(
    readFileSync(join(dir, "replicator.env"), "utf8")
      .trim()
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
  );
  // Its address is nowhere in the configuration: as of a pod, only it knows.
  startOn(b, { ...settings, UNDERSTUDY_INSTANCE_ADDRESS: b.address });

  const bus = await connectJetStream({ ...accessOf(nats, "cli"), name: "test" });
  t.after(() => bus.close());
  const yaml = configuration([a, b].map((host) => [host, ...addressesOf(host)] as const));
  const applied = await applyConfiguration(bus, { yaml, file: "t", source: "t", nowMs: Date.now() });
  assert.ok(applied.applied, JSON.stringify(applied));

  const { primary } = await settled(a, { primary: "edge-a", shadow: "edge-b" });
  assert.match(await cli(["host", "list"]), /edge-b +joined +/);
  const before = a.dataBytes();
  for (let each = 0; each < 5; each += 1) await written(a, primary.address, `order-${each}`);
  // Deltas travel packed: a write is some hundred bytes, ten times what the link carries in that time when nothing is written.
  assert.ok(a.dataBytes() - before > 5 * 300, "the deltas went over the dedicated link");

  // The dedicated link stays: what counts is that it cannot reach the store, and that nobody can reach it.
  a.setSwitch(false);
  const cutMs = performance.now();
  const next = await waitFor(
    async () => {
      const roles = (await status(b))?.roles;
      return roles?.instances.find(
        (each) =>
          each.name === roles.primary && each.host === "edge-b" && each.phase === InstancePhase.SERVING,
      );
    },
    { withinMs: WITHIN_MS, what: "a primary on edge-b" },
  );
  const tookMs = performance.now() - cutMs;
  assert.ok(tookMs >= LEASE_MS / 2, `its lease is waited out, ${tookMs} ms`);
  t.diagnostic(`cut to the new primary: ${Math.round(tookMs)} ms at a lease of ${LEASE_MS} ms`);
  assert.notEqual(
    await write(a, primary.address, "too late"),
    201,
    "the primary that was cut off has stopped itself",
  );
  await written(b, next.address, "after");

  a.setSwitch(true);
  const healed = await settled(b, { primary: "edge-b", shadow: "edge-a" });
  const keys = await a.run(process.execPath, [
    "-e",
    'fetch("http://"+process.argv[1]+"/idempotency-keys?after=0").then(r=>r.text()).then(console.log)',
    healed.shadow.address,
  ]);
  for (const key of ["order-0", "order-4", "after"])
    assert.ok(keys.includes(`"${key}"`), `${key} in ${keys}`);
  assert.ok(!keys.includes("too late"));
  passed = true;
});

function configuration(hosts: readonly (readonly [NetworkHost, string, string])[]): string {
  const lines = hosts.map(
    ([{ name, address }, control, data]) =>
      `  - { name: ${name}, control: "${control}", data: "${data}"${name === "edge-a" ? `, address: ${address}` : ""} }`,
  );
  return `
resources:
  - name: catalog
    run:
      readyWithinMs: 60000
      command: ["${process.execPath}", "${CATALOG}"]
      env:
        UNDERSTUDY_TLS_DIR: "${join(tls, "app-catalog")}"
        CATALOG_START_MS: "100"
        CATALOG_SERVICE_MS: "2"
        CATALOG_WARM_UP_MS: "0"
        CATALOG_PRODUCTS: "500"
    state: { paths: [catalog.db], consistency: sqlite }
    routing: { pool: web }
    shadows: { min: 1, max: 2, hosts: [edge-a, edge-b] }
    lease: { durationMs: ${LEASE_MS} }
pools:
  - { name: web, driver: memory, frontend: "127.0.0.1:1" }
hosts:
${lines.join("\n")}
`;
}
