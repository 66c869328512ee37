/**
 * From sample to weight: real services, real HAProxy, 100 instances measured at 10 Hz, under a demand that keeps
 * moving, so that plans keep changing. Reports the time from the sample behind a plan to HAProxy's acknowledgement of
 * it, and what the five services cost.
 */

import { Agent, request } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Bus } from "@understudy/bus/bus";
import { connectJetStream } from "@understudy/bus/jetstream";
import { followMessages } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import { type Cluster, startCluster } from "@understudy/testkit/cluster";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import { freePort } from "@understudy/testkit/ports";
import { openRun, type Run } from "@understudy/testkit/run";
import { findRunProcesses } from "@understudy/testkit/run-processes";
import { startHaproxy } from "@understudy/testkit/servers/haproxy";
import { waitFor } from "@understudy/testkit/wait";
import { haproxyFiles, renderHaproxyConfig } from "@understudy/traffic/haproxy/config";
import { InstancePhase, type RoleChanged } from "@understudy/wire/gen/role";
import { stringify } from "yaml";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { instanceRun } from "./pipeline-instance.ts";
import { cpuSecondsOf, residentBytesOf } from "./processes.ts";

const LOOPBACK = "127.0.0.1";
const SOCKET = "admin.sock";
const STARTED_WITHIN_MS = 240_000;
const SETTLE_MS = 5_000;
/** Requests per second of one pool swing around this by half, so that the wanted shares never stand still. */
const MEAN_RPS = 30;
const SWING_PERIOD_MS = 7_000;
const SEND_EVERY_MS = 20;

type Pool = { readonly name: string; readonly socket: string; readonly port: number };

export async function run(options: BenchOptions): Promise<BenchResult> {
  const resources = Number(options.get("resources") ?? 10);
  const instances = Number(options.get("instances") ?? 10);
  const seconds = Number(options.get("seconds") ?? 20);
  const owner = openRun();
  const stop = new AbortController();
  let cluster: Cluster | undefined;
  let bus: Bus | undefined;
  try {
    const names = Array.from({ length: resources }, (_, index) => `bench-${index}`);
    const pools = await Promise.all(names.map((name) => startPool(owner, name, instances)));
    cluster = await startCluster({ run: owner, logLevel: "warn" });
    bus = await connectJetStream({ ...cluster.access("cli"), name: "bench" });
    const serving = watchServing(bus, stop.signal);
    const run = await instanceRun(owner);
    await cluster.apply(configurationOf(cluster, { pools, instances, run }));
    await waitFor(() => serving() >= resources * instances, {
      withinMs: STARTED_WITHIN_MS,
      what: `${resources * instances} serving instances`,
    });
    const load = Promise.all(pools.map((pool, index) => sendLoad(pool.port, index, stop.signal)));
    await delay(SETTLE_MS);
    const measured = await measure({ cluster, bus, owner, seconds });
    stop.abort();
    await load;
    return { resources, instances: resources * instances, seconds, ...measured };
  } finally {
    stop.abort();
    await bus?.close();
    await cluster?.close();
    await owner.close();
  }
}

async function startPool(owner: Run, name: string, instances: number): Promise<Pool> {
  const port = await freePort();
  let socket = "";
  await startHaproxy({
    run: owner,
    name: `haproxy-${name}`,
    socket: SOCKET,
    files: haproxyFiles(name),
    config: (dir) => {
      socket = join(dir, SOCKET);
      const pool = {
        name,
        socket,
        backends: BACKENDS,
        slots: instances + 2,
        frontend: `${LOOPBACK}:${port}`,
      };
      return renderHaproxyConfig({ dir, pool, healthPath: "/healthz" });
    },
  });
  return { name, socket, port };
}

const BACKENDS = { reads: "reads", writes: "writes" };

function configurationOf(
  cluster: Cluster,
  {
    pools,
    instances,
    run,
  }: { pools: readonly Pool[]; instances: number; run: Awaited<ReturnType<typeof instanceRun>> },
): string {
  return stringify({
    resources: pools.map(({ name }) => ({
      name,
      run: { ...run, readyWithinMs: 120_000 },
      state: { paths: ["data"], consistency: "none", onVersion: "reopens" },
      // Low enough that the demand of this bench is above it: shares then follow every sample.
      capacity: { signals: ["cpuCores"], target: 0.9, initialRps: MEAN_RPS / 3 },
      routing: { pool: name, maxShadowShare: 0.95, maxStalenessMs: 10_000 },
      shadows: { min: instances - 1, max: instances - 1 },
      health: { http: "/healthz", intervalMs: 500 },
    })),
    pools: pools.map(({ name, socket, port }) => ({
      name,
      socket,
      backends: BACKENDS,
      slots: instances + 2,
      frontend: `${LOOPBACK}:${port}`,
    })),
    hosts: [{ name: cluster.host, control: cluster.grpc.replicator, data: cluster.mirrorData }],
  });
}

/** How many instances serve, by the last roles of each resource. */
function watchServing(bus: Bus, signal: AbortSignal): () => number {
  const serving = new Map<string, number>();
  const count = (roles: RoleChanged) =>
    roles.instances.filter(({ phase }) => phase === InstancePhase.SERVING).length;
  void (async () => {
    for await (const { message } of followMessages(bus, TOPICS.roles, {
      from: "last",
      signal,
      service: "bench",
    })) {
      serving.set(message.header?.resource ?? "", count(message));
    }
  })();
  return () => [...serving.values()].reduce((sum, each) => sum + each, 0);
}

/** Open loop: the number of requests due follows the clock, whatever the answers do. */
async function sendLoad(port: number, index: number, signal: AbortSignal): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const startMs = performance.now();
  let due = 0;
  for (let lastMs = startMs; !signal.aborted; ) {
    await delay(SEND_EVERY_MS);
    const nowMs = performance.now();
    const swing = Math.sin((2 * Math.PI * (nowMs - startMs)) / SWING_PERIOD_MS + index);
    due += (MEAN_RPS * (1 + 0.5 * swing) * (nowMs - lastMs)) / 1000;
    lastMs = nowMs;
    for (; due >= 1; due -= 1) {
      const sent = request({ host: LOOPBACK, port, path: "/", agent }, (response) => response.resume());
      // The bench measures the pipeline; a failed request only shows in HAProxy's counters.
      sent.on("error", () => sent.destroy());
      sent.end();
    }
  }
  agent.destroy();
}

async function measure(of: {
  cluster: Cluster;
  bus: Bus;
  owner: Run;
  seconds: number;
}): Promise<BenchResult> {
  const { cluster, bus, owner, seconds } = of;
  const pids = Object.entries(cluster.services).map(([name, service]) => ({ name, pid: service.pid()! }));
  const ticks = () =>
    [process.pid, ...findRunProcesses(owner.id)].reduce((sum, pid) => sum + cpuSecondsOf(pid) * 100, 0);
  const noise = startNoise(ticks);
  const before = pids.map(({ pid }) => cpuSecondsOf(pid));
  const startMs = performance.now();
  const applied = await collectApplied(bus, seconds);
  const tookSeconds = (performance.now() - startMs) / 1000;
  const byService = pids.map(({ name, pid }, index) => ({
    name,
    cores: (cpuSecondsOf(pid) - before[index]!) / tookSeconds,
    rssMb: residentBytesOf(pid) / 1e6,
  }));
  const machine = noise();
  const total = (field: "cores" | "rssMb") => round(byService.reduce((sum, each) => sum + each[field], 0));
  return {
    plans: applied.length,
    p50Ms: percentile(applied, 0.5),
    p99Ms: percentile(applied, 0.99),
    maxMs: percentile(applied, 1),
    cores: total("cores"),
    rssMb: total("rssMb"),
    byService: Object.fromEntries(
      byService.map(({ name, cores, rssMb }) => [name, { cores: round(cores), rssMb: round(rssMb) }]),
    ),
    noise: machine,
    valid:
      machine.stealShare <= NOISE_SHARE_MAX && machine.otherShare <= NOISE_SHARE_MAX && applied.length > 0,
  };
}

/** Sample-to-acknowledgement of every plan that HAProxy acknowledged in the next seconds, ascending. */
async function collectApplied(bus: Bus, seconds: number): Promise<number[]> {
  const times: number[] = [];
  const signal = AbortSignal.timeout(seconds * 1000);
  for await (const { message } of followMessages(bus, TOPICS.lbApplied, {
    from: "new",
    signal,
    service: "bench",
  })) {
    // 0: the plan came of new roles or verdicts, no new sample stands behind it.
    if (message.ok && message.verifiedBy === "acknowledged" && message.sampleToAppliedMs > 0) {
      times.push(message.sampleToAppliedMs);
    }
  }
  return times.sort((a, b) => a - b);
}

function percentile(sorted: readonly number[], level: number): number {
  const index = Math.min(sorted.length - 1, Math.ceil(level * sorted.length) - 1);
  return round(sorted[Math.max(0, index)] ?? Number.NaN);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
