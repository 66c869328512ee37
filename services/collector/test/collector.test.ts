/** The whole collector over a memory bus, a memory balancer and real processes. */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { trace } from "@opentelemetry/api";
import { type MemoryBus, memoryBus } from "@understudy/bus/memory";
import { followMessages, publishMessage } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Instance } from "@understudy/model/instance";
import { METRIC_NAMES, type MetricName } from "@understudy/model/metric-names";
import { readProcStat } from "@understudy/resource/proc-stat";
import { systemClock } from "@understudy/service/clock";
import { openLog } from "@understudy/service/log";
import { runActors } from "@understudy/service/run";
import { type SpanRecord, startTelemetry, type Telemetry } from "@understudy/service/telemetry";
import { waitFor } from "@understudy/testkit/wait";
import { memoryBalancer, openMemoryDriver } from "@understudy/traffic/memory";
import { ConfigSchema } from "@understudy/wire/gen/event";
import type { MetricBatch } from "@understudy/wire/gen/metrics";
import { headerToWire, hlcFromWire } from "@understudy/wire/header";
import { rolesToWire } from "@understudy/wire/roles";
import { createCollector } from "../src/collector.ts";

const WITHIN_MS = 10_000;
const NOW = { wallMs: Date.now(), counter: 0 };
const YAML = `
resources:
  - name: catalog
    run: { command: [app] }
    state: { paths: [a.db], consistency: sqlite }
    routing: { pool: web }
    metrics: { path: /metrics, map: { busyWorkers: app_busy, workers: app_workers, servedPerSecond: app_served_total } }
pools:
  - { name: web, driver: memory, backends: { reads: r, writes: w }, frontend: "127.0.0.1:1" }
hosts:
  - { name: host-a, control: "127.0.0.1:1", data: "127.0.0.1:1" }
`;

const dir = mkdtempSync(join(tmpdir(), "understudy-collector-"));
const traceFile = join(dir, "spans");
const stop = new AbortController();
const balancer = memoryBalancer({ pool: "web" });
const children: ChildProcess[] = [];
const seen: { batch: MetricBatch; traceId: string }[] = [];
let bus: MemoryBus;
let telemetry: Telemetry;
let collector: ReturnType<typeof createCollector>;
let running: Promise<void>;
let instances: Instance[] = [];

async function startApplication(name: string, ...args: string[]): Promise<Instance> {
  const file = join(import.meta.dirname, "application.ts");
  const child = spawn(process.execPath, [file, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  const [port] = (await once(child.stdout!, "data")) as [Buffer];
  return {
    name,
    incarnation: "a",
    host: "host-a",
    role: name === "catalog-1" ? "primary" : "shadow",
    phase: "serving",
    address: `127.0.0.1:${Number(port.toString())}`,
    gateAddress: "",
    pid: child.pid!,
    pidStartTicks: readProcStat(child.pid!)!.startTicks,
    requestedAtMs: 0,
    readyAtMs: 0,
  };
}

async function publishRoles(list: Instance[]): Promise<void> {
  const roles = { resource: "catalog", epoch: 1, primary: "catalog-1", instances: list };
  const message = rolesToWire(roles, { time: NOW, source: "test", reason: "" });
  await publishMessage(bus, TOPICS.roles, { names: ["catalog"], message });
}

function value(batch: MetricBatch, instance: string, name: MetricName): number {
  const row = batch.rows.findIndex((one) => one.instance === instance);
  return batch.columns.find((column) => column.name === name)?.values[row] ?? Number.NaN;
}

/** The first batch from now on that meets the condition. */
function nextBatch(condition: (batch: MetricBatch) => boolean, what: string): Promise<MetricBatch> {
  const from = seen.length;
  return waitFor(() => seen.slice(from).find(({ batch }) => condition(batch))?.batch, {
    withinMs: WITHIN_MS,
    everyMs: 10,
    what,
  });
}

before(async () => {
  bus = memoryBus();
  telemetry = await startTelemetry({ service: "collector", host: "host-a", otlpEndpoint: "", traceFile });
  collector = createCollector({
    host: "host-a",
    intervalMs: 100,
    bus,
    clock: systemClock,
    telemetry,
    log: openLog("collector", "silent"),
    openTraffic: () => openMemoryDriver(balancer),
  });
  instances = [await startApplication("catalog-1", "--busy"), await startApplication("catalog-2")];
  const targets = instances.map(({ name, address }, index) => ({
    instance: name,
    address,
    gateAddress: address,
    readPpm: 500_000,
    writes: index === 0,
    drain: false,
  }));
  await openMemoryDriver(balancer).apply({ pool: "web", revision: 1, epoch: 1, targets });
  const message = create(ConfigSchema, {
    header: headerToWire({ time: NOW, source: "test" }),
    revision: 1n,
    yaml: YAML,
  });
  await publishMessage(bus, TOPICS.config, { names: [], message });
  await publishRoles(instances);
  void follow();
  running = runActors(collector.actors, stop);
});

async function follow(): Promise<void> {
  const messages = followMessages(bus, TOPICS.metrics, { from: "new", signal: stop.signal, service: "test" });
  for await (const { message, trace: context } of messages) {
    seen.push({ batch: message, traceId: trace.getSpanContext(context)?.traceId ?? "" });
  }
}

after(async () => {
  stop.abort();
  for (const child of children) child.kill("SIGKILL");
  await running;
  await collector?.close();
  await telemetry?.close();
  await bus?.close();
  rmSync(dir, { recursive: true, force: true });
});

describe("the collector", { timeout: 60_000 }, () => {
  it("says what each instance does: processor, memory, its own metrics", async () => {
    const busier = (one: MetricBatch): boolean =>
      value(one, "catalog-1", "cpuCores") > 0.02 &&
      value(one, "catalog-2", "cpuCores") < value(one, "catalog-1", "cpuCores") &&
      value(one, "catalog-1", "busyWorkers") === 3;
    const batch = await nextBatch(busier, "a busy primary");
    assert.deepEqual(
      batch.columns.map(({ name }) => name),
      METRIC_NAMES,
    );
    for (const { values } of batch.columns) assert.equal(values.length, batch.rows.length);
    assert.ok(value(batch, "catalog-1", "cpuCores") < 1.2);
    assert.ok(value(batch, "catalog-2", "memoryBytes") > 10e6);
    assert.equal(value(batch, "catalog-1", "workers"), 8);
    // The application counts five for each page, and there are ten pages a second.
    const served = await nextBatch((one) => value(one, "catalog-2", "servedPerSecond") > 0, "a rate");
    assert.ok(value(served, "catalog-2", "servedPerSecond") < 500);
    assert.equal(batch.intervalMs, 100);
    assert.ok(Math.abs(hlcFromWire(batch.header?.time).wallMs - Date.now()) < WITHIN_MS);
  });

  it("says what the load balancer was asked, as a whole and for each target", async () => {
    const sending = setInterval(() => {
      void balancer.send("read");
      void balancer.send("read");
      void balancer.send("write");
    }, 5);
    const batch = await nextBatch((one) => value(one, "", "readsPerSecond") > 50, "reads");
    clearInterval(sending);
    assert.ok(value(batch, "", "writesPerSecond") > 20);
    const ofTargets =
      value(batch, "catalog-1", "readsPerSecond") + value(batch, "catalog-2", "readsPerSecond");
    assert.ok(Math.abs(ofTargets - value(batch, "", "readsPerSecond")) < 1e-6);
    assert.equal(value(batch, "catalog-2", "writesPerSecond"), 0);
  });

  it("says how far its hosts are: a refused connection is an answer", async () => {
    const batch = await nextBatch(({ links }) => links.length > 0, "a link");
    assert.equal(batch.links[0]?.toHost, "host-a");
    assert.ok(batch.links[0].roundTripMs < 500);
    assert.equal(batch.links[0].loss, 0);
  });

  it("starts a trace with each batch", async () => {
    await nextBatch(() => true, "a batch");
    const last = seen.at(-1)!;
    assert.notEqual(last.traceId, "");
    const span = await waitFor(
      () => {
        const lines = readFileSync(traceFile, "utf8").split("\n").filter(Boolean);
        return lines
          .map((line) => JSON.parse(line) as SpanRecord)
          .find(({ traceId }) => traceId === last.traceId);
      },
      { withinMs: WITHIN_MS, what: "its span" },
    );
    assert.deepEqual([span.name, span.parentId], ["collect", ""]);
  });

  it("keeps its rhythm and says NaN when an application or the balancer does not answer", async () => {
    await fetch(`http://${instances[1]!.address}/silent`);
    balancer.setReachable(false);
    const silent = (one: MetricBatch): boolean =>
      value(one, "catalog-1", "busyWorkers") === 3 &&
      Number.isNaN(value(one, "catalog-2", "busyWorkers")) &&
      Number.isNaN(value(one, "", "readsPerSecond"));
    const batch = await nextBatch(silent, "a batch without them");
    assert.ok(value(batch, "catalog-2", "memoryBytes") > 10e6);
    assert.ok(batch.rows.some(({ instance }) => instance === ""));
    const from = seen.length;
    await waitFor(() => seen.length > from + 15, { withinMs: WITHIN_MS });
    const times = seen.slice(from).map((one) => hlcFromWire(one.batch.header?.time).wallMs);
    const gaps = times
      .slice(1)
      .map((time, index) => time - times[index]!)
      .toSorted((a, b) => a - b);
    assert.ok(gaps[Math.floor(gaps.length / 2)]! < 180, `gaps of ${gaps} ms`);
    balancer.setReachable(true);
    await nextBatch((one) => !Number.isNaN(value(one, "", "readsPerSecond")), "the balancer again");
  });

  it("goes on after the bus was away", async () => {
    bus.setConnected(false);
    const from = seen.length;
    await assert.rejects(waitFor(() => seen.length > from, { withinMs: 300 }));
    bus.setConnected(true);
    await nextBatch(() => true, "a batch");
  });

  it("leaves out instances that have gone and those of other hosts", async () => {
    process.kill(instances[1]!.pid, "SIGKILL");
    await nextBatch((one) => Number.isNaN(value(one, "catalog-2", "memoryBytes")), "a dead process");
    await publishRoles([instances[0]!, { ...instances[1]!, name: "catalog-3", host: "host-b" }]);
    const batch = await nextBatch(
      ({ rows }) => !rows.some(({ instance }) => instance === "catalog-3"),
      "rows",
    );
    assert.ok(batch.rows.some(({ instance }) => instance === "catalog-1"));
  });
});
