/** The whole service over a memory bus, real gRPC with mTLS and real processes. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { create, type MessageShape } from "@bufbuild/protobuf";
import { type MemoryBus, memoryBus } from "@understudy/bus/memory";
import { followMessages, publishMessage } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Instance, Verdict } from "@understudy/model/instance";
import { systemClock } from "@understudy/service/clock";
import {
  type Client,
  connectGrpc,
  type Handlers,
  implement,
  SHUTDOWN_MS,
  serveGrpc,
} from "@understudy/service/grpc";
import { openLog } from "@understudy/service/log";
import { runActors } from "@understudy/service/run";
import { startTelemetry } from "@understudy/service/telemetry";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { waitFor } from "@understudy/testkit/wait";
import {
  AnnounceRequestSchema,
  HealthControl,
  HealthWatchRequestSchema,
  ReplicationControl,
  type ReplicationUpdate,
  ReplicationUpdateSchema,
} from "@understudy/wire/gen/control";
import { ConfigSchema } from "@understudy/wire/gen/event";
import { headerToWire } from "@understudy/wire/header";
import { rolesToWire, verdictFromWire } from "@understudy/wire/roles";
import { createHealth } from "../src/health.ts";
import { pollMs } from "../src/process.ts";
import { type Started, startInstance } from "./start-instance.ts";

const WITHIN_MS = 10_000;
const NOW = { wallMs: Date.now(), counter: 0 };
const YAML = `
resources:
  - name: catalog
    run: { command: [app] }
    state: { paths: [a.db], consistency: sqlite }
    routing: { pool: web }
    health: { http: /200, tcp: true, intervalMs: 50, timeoutMs: 200, rise: 2, fall: 2 }
pools:
  - { name: web, driver: memory, backends: { reads: r, writes: w }, frontend: "127.0.0.1:1" }
`;

const dir = mkdtempSync(join(tmpdir(), "understudy-health-"));
const stop = new AbortController();
const closers: (() => Promise<void> | void)[] = [];
const instances = new Map<string, Started>();
const seen: { verdict: Verdict; atMs: number }[] = [];
let bus: MemoryBus;
let membership: Instance[] = [];
let announceMembership: () => void = () => undefined;
let health: Client<typeof HealthControl>;
let running: Promise<void>;
let watching: Promise<void>;

const latest = (instance: string) => seen.findLast(({ verdict }) => verdict.instance === instance);
const becomes = (instance: string, state: string, incarnation = "a") =>
  waitFor(
    () => {
      const last = latest(instance)?.verdict;
      return last?.state === state && last.incarnation === incarnation && last;
    },
    { withinMs: WITHIN_MS, everyMs: 2, what: `${instance} ${state}` },
  );

function setMembership(next: Instance[]): void {
  membership = next;
  announceMembership();
}

function instanceOf(name: string, started: Started, incarnation = "a"): Instance {
  return {
    name,
    incarnation,
    host: "host-a",
    role: name === "catalog-1" ? "primary" : "shadow",
    phase: "serving",
    address: started.address,
    gateAddress: "",
    pid: started.pid,
    pidStartTicks: started.pidStartTicks,
    requestedAtMs: 0,
    readyAtMs: 0,
  };
}

/** A replicator that only knows its membership. */
const replicator = implement(ReplicationControl, {
  ...(Object.fromEntries(
    ReplicationControl.methods.map(({ localName }) => [localName, () => assert.fail()]),
  ) as unknown as Handlers<typeof ReplicationControl>),
  async *watch(_, call): AsyncGenerator<ReplicationUpdate> {
    while (!call.signal.aborted) {
      const roles = { resource: "catalog", epoch: 1, primary: "catalog-1", instances: membership };
      const value = rolesToWire(roles, { time: NOW, source: "test", reason: "" });
      yield create(ReplicationUpdateSchema, { update: { case: "roles", value } });
      await new Promise<void>((resolve) => {
        announceMembership = resolve;
        call.signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
  },
});

async function clientOf(name: string, port: number): Promise<Client<typeof HealthControl>> {
  await issueCertificate(await createAuthority(join(dir, "ca")), { name, dir: join(dir, name) });
  const client = connectGrpc(HealthControl, `127.0.0.1:${port}`, readTls(join(dir, name)));
  closers.push(() => client.close());
  return client;
}

let healthPort = 0;
let closeServer: () => Promise<void>;
let missing: () => string | undefined;
let missingAtFirst: string | undefined;

before(async () => {
  const authority = await createAuthority(join(dir, "ca"));
  for (const name of ["health", "replicator"])
    await issueCertificate(authority, { name, dir: join(dir, name) });
  const tls = readTls(join(dir, "health"));
  const listen = { host: "127.0.0.1", port: 0 };
  const replicatorServer = await serveGrpc({
    listen,
    tls: readTls(join(dir, "replicator")),
    services: [replicator],
  });
  bus = memoryBus();
  const telemetry = await startTelemetry({
    service: "health",
    host: "host-a",
    otlpEndpoint: "",
    traceFile: "",
  });
  const client = connectGrpc(ReplicationControl, `127.0.0.1:${replicatorServer.port}`, tls);
  const service = createHealth({
    host: "host-a",
    bus,
    replicators: [client],
    clock: systemClock,
    telemetry,
    log: openLog("health", "silent"),
    probeEnvironment: process.env,
  });
  const server = await serveGrpc({ listen, tls, services: [service.control] });
  healthPort = server.port;
  closeServer = server.close;
  missing = service.missing;
  missingAtFirst = missing();
  health = await clientOf("replicator", server.port);
  closers.push(replicatorServer.close, () => client.close(), service.close, telemetry.close);
  for (const name of ["catalog-1", "catalog-2"]) instances.set(name, await startInstance());
  const header = headerToWire({ time: NOW, source: "test" });
  const message = create(ConfigSchema, { header, revision: 1n, yaml: YAML });
  await publishMessage(bus, TOPICS.config, { names: [], message });
  membership = [...instances].map(([name, started]) => instanceOf(name, started));
  running = runActors(service.actors, stop);
  watching = watchVerdicts();
});

async function watchVerdicts(): Promise<void> {
  for await (const wire of health.watch(create(HealthWatchRequestSchema), { signal: stop.signal })) {
    seen.push({ verdict: verdictFromWire(wire), atMs: performance.now() });
  }
}

after(async () => {
  stop.abort();
  await running;
  for (const close of closers.reverse()) await close();
  for (const started of instances.values()) await started.end();
  await bus.close();
  rmSync(dir, { recursive: true, force: true });
});

describe("the health service", { timeout: 60_000 }, () => {
  it("finds working instances up, with its evidence, on gRPC and on the bus", async () => {
    const verdict = await becomes("catalog-1", "up");
    await becomes("catalog-2", "up");
    assert.deepEqual(
      verdict.evidence.map(({ signal, alive }) => [signal, alive]),
      [
        ["process", true],
        ["http", true],
        ["tcp", true],
      ],
    );
    assert.ok(Math.abs(verdict.sinceMs - Date.now()) < WITHIN_MS);
    const onBus = await firstOf("catalog-1", ({ state }) => state === 1);
    assert.equal(onBus.incarnation, "a");
  });

  it("is ready once it knows what to look at", () => {
    assert.equal(missingAtFirst, "no configuration yet");
    assert.equal(missing(), undefined);
  });

  it("says every verdict again at least each second", async () => {
    const before = latest("catalog-2")!;
    const again = await waitFor(() => latest("catalog-2") !== before && latest("catalog-2"), {
      withinMs: WITHIN_MS,
      everyMs: 5,
    });
    assert.ok(again.atMs - before.atMs < 1300);
  });

  it("tells a new watcher all present verdicts at once, and only those it asked for", async () => {
    const first: string[] = [];
    for await (const wire of health.watch(create(HealthWatchRequestSchema, { resource: "catalog" }), {
      signal: stop.signal,
    })) {
      first.push(wire.instance);
      if (first.length === 2) break;
    }
    assert.deepEqual(first.toSorted(), ["catalog-1", "catalog-2"]);
  });

  it("suspects a stopped process at once and calls it dead when it stays so", async () => {
    const { child } = instances.get("catalog-2")!;
    child.kill("SIGSTOP");
    const suspect = await becomes("catalog-2", "suspect");
    const down = await becomes("catalog-2", "down");
    assert.ok(down.sinceMs - suspect.sinceMs >= 900, "not before it had its time");
    child.kill("SIGCONT");
    await becomes("catalog-2", "up");
  });

  it("does not mind an announced silence", async () => {
    const request = { resource: "catalog", instance: "catalog-2", silentMs: 3000, reason: "snapshot" };
    await health.announce(create(AnnounceRequestSchema, request));
    const { child } = instances.get("catalog-2")!;
    const from = seen.length;
    child.kill("SIGSTOP");
    await waitFor(
      () => seen.slice(from).filter(({ verdict }) => verdict.instance === "catalog-2").length >= 2,
      { withinMs: WITHIN_MS },
    );
    child.kill("SIGCONT");
    const states = seen.slice(from).filter(({ verdict }) => verdict.instance === "catalog-2");
    assert.ok(states.every(({ verdict }) => verdict.state === "up"));
  });

  it("takes announcements from the replicator only, and none without end", async () => {
    const request = create(AnnounceRequestSchema, {
      resource: "catalog",
      instance: "catalog-1",
      silentMs: 100,
    });
    const application = await clientOf("app-catalog", healthPort);
    await assert.rejects(application.announce(request), { code: "permission-denied" });
    await assert.rejects(health.announce({ ...request, silentMs: 3_600_000 }), { code: "invalid-argument" });
    const verdicts = application.watch(create(HealthWatchRequestSchema), { signal: stop.signal });
    await assert.rejects(
      async () => {
        for await (const _ of verdicts) assert.fail("an application saw a verdict");
      },
      { code: "permission-denied" },
    );
  });

  it("goes on over gRPC while the bus is away", async () => {
    bus.setConnected(false);
    const from = seen.length;
    await waitFor(() => seen.length >= from + 4, { withinMs: WITHIN_MS });
    bus.setConnected(true);
    await firstOf("catalog-1", () => true);
  });

  it("says within a few looks that a killed process is down", async () => {
    // Counted in turns of a timer like that of the looks, not in ms: a busy machine is late with both.
    let turns = 0;
    const timer = setInterval(() => (turns += 1), pollMs(1));
    const { pid } = instances.get("catalog-1")!;
    process.kill(pid, "SIGKILL");
    const verdict = await becomes("catalog-1", "down");
    clearInterval(timer);
    assert.match(verdict.evidence[0]!.detail, /^exited: process \d+ is/);
    assert.ok(turns <= 5, `took ${turns} turns`);
  });

  it("judges an instance that is made again afresh, and forgets one that is removed", async () => {
    const again = await startInstance();
    await instances.get("catalog-1")!.end();
    instances.set("catalog-1", again);
    setMembership([instanceOf("catalog-1", again, "b")]);
    await becomes("catalog-1", "up", "b");
    const late = seen.findLastIndex(({ verdict }) => verdict.instance === "catalog-2");
    await waitFor(() => seen.length - late > 3, { withinMs: WITHIN_MS });
    assert.ok(!seen.slice(late + 1).some(({ verdict }) => verdict.instance === "catalog-2"));
  });

  it("ends its streams when it is stopped: a stop waits for no watcher", async () => {
    const startedMs = performance.now();
    await Promise.all([closeServer(), watching]);
    assert.ok(performance.now() - startedMs < SHUTDOWN_MS);
  });
});

async function firstOf(
  instance: string,
  accept: (verdict: MessageShape<(typeof TOPICS)["health"]["schema"]>) => boolean,
): Promise<MessageShape<(typeof TOPICS)["health"]["schema"]>> {
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(WITHIN_MS)]);
  for await (const { message } of followMessages(bus, TOPICS.health, {
    from: "last",
    signal,
    service: "test",
    names: ["catalog", instance],
  })) {
    if (accept(message)) return message;
  }
  return assert.fail(`no verdict of ${instance} on the bus`);
}
