/**
 * The compose cluster as a user starts it: how long until all is healthy with images in place, what the services take while nothing is
 * asked of them, and what clients see while each container is killed in turn under a load that does not wait. The one HAProxy is the
 * clients' only way in: what fails while it is away is counted apart, and no replica of it is there to hide it.
 */

import { arrivals } from "@understudy/cli/demo/demand";
import { runLoad } from "@understudy/cli/demo/load";
import { hasFailed, isIdempotent, type RequestRecord } from "@understudy/cli/demo/records";
import {
  type ComposeCluster,
  hasShadowInSync,
  openComposeCluster,
  PARTS,
  type Usage,
  until,
} from "@understudy/testkit/compose-cluster";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import { SERVICE_NAMES } from "@understudy/testkit/servers/nats-users";
import type { BenchOptions, BenchResult } from "./bench.ts";

const UP_WITHIN_S = 180;
const IDLE_MS = 30_000;
const HEAL_WITHIN_MS = 90_000;
const RATE = 60;
/** After one has healed, before the next is killed: late harm is still its own. */
const SETTLE_MS = 2_000;
const LOAD_MS_MAX = 20 * 60_000;
const SEED = 7;
const BUSY_LOAD = 4;

type Kill = {
  readonly part: string;
  readonly fromMs: number;
  readonly untilMs: number;
  readonly healMs: number;
};

export async function run(options: BenchOptions): Promise<BenchResult> {
  const rate = Number(options.get("rps") ?? RATE);
  const chosen = options.get("parts")?.split(",") ?? [...PARTS, "catalog"];
  const noise = startNoise();
  const project = `understudy-bench-${process.pid}`;
  const cluster = await openComposeCluster({ project, port: 20_000 + (process.pid % 10_000) });
  say("building images, which is not counted");
  await cluster.build();
  try {
    const startedMs = performance.now();
    await cluster.up(UP_WITHIN_S, ["--build"]);
    const healthyS = round((performance.now() - startedMs) / 1000);
    say(`all healthy after ${healthyS} s`);
    await inSync(cluster);
    const idle = await usages(cluster);
    say(`idle: ${JSON.stringify(idle)}`);
    const { kills, records, lateP99Ms } = await killAll(cluster, { parts: chosen, rate });
    const { stealShare, load1 } = noise();
    return {
      valid: stealShare <= NOISE_SHARE_MAX && load1 <= BUSY_LOAD,
      healthyS,
      idleServices: { ...sum(SERVICE_NAMES.map((name) => idle[name]!)), goal: { cores: 0.3, mb: 700 } },
      idle,
      ...judge(kills, records),
      requestsPerSecond: rate,
      lateP99Ms: round(lateP99Ms),
      noise: { stealShare: round(stealShare), load1 },
    };
  } finally {
    say("removing it");
    await cluster.remove();
  }
}

async function inSync(cluster: ComposeCluster): Promise<void> {
  const what = "a shadow in sync";
  await until(async () => hasShadowInSync(await cluster.status()), { what, withinMs: HEAL_WITHIN_MS });
}

async function usages(cluster: ComposeCluster): Promise<Record<string, { cores: number; mb: number }>> {
  const found = await Promise.all(
    PARTS.map(async (part) => [part, rounded(await cluster.usage(part, IDLE_MS))] as const),
  );
  return Object.fromEntries(found);
}

const rounded = ({ cores, bytes }: Usage) => ({ cores: round(cores), mb: Math.round(bytes / 1e6) });

function sum(all: readonly { cores: number; mb: number }[]): { cores: number; mb: number } {
  const add = (pick: (each: { cores: number; mb: number }) => number) =>
    round(all.reduce((total, each) => total + pick(each), 0));
  return { cores: add(({ cores }) => cores), mb: add(({ mb }) => mb) };
}

/** Keeps the load on for as long as it takes to kill them all, one after another. */
async function killAll(
  cluster: ComposeCluster,
  { parts, rate }: { parts: readonly string[]; rate: number },
): Promise<{ kills: readonly Kill[]; records: readonly RequestRecord[]; lateP99Ms: number }> {
  const stop = new AbortController();
  let startMs = 0;
  const sending = runLoad({
    arrivals: arrivals(() => 1, { ratePerUnit: rate, lengthMs: LOAD_MS_MAX, seed: SEED }),
    host: "127.0.0.1",
    port: cluster.port,
    keyPrefix: `bench-${process.pid}`,
    onStart: () => {
      startMs = performance.now();
    },
    onProgress: () => undefined,
    signal: stop.signal,
  });
  const kills: Kill[] = [];
  try {
    for (const part of parts) {
      const fromMs = performance.now() - startMs;
      const healMs = Math.round(await (part === "catalog" ? killPrimary(cluster) : killPart(cluster, part)));
      await inSync(cluster);
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      kills.push({ part, fromMs, untilMs: performance.now() - startMs, healMs });
      say(`${part}: healed after ${healMs} ms`);
    }
  } finally {
    stop.abort();
  }
  const { records, lateP99Ms } = await sending;
  return { kills, records, lateP99Ms };
}

async function killPart(cluster: ComposeCluster, name: string): Promise<number> {
  const part = PARTS.find((each) => each === name);
  if (!part) throw new Error(`there is no part ${name}: ${PARTS.join(", ")}, catalog`);
  await cluster.crash(part);
  return until(() => cluster.isHealed(part), { what: `${part} runs again`, withinMs: HEAL_WITHIN_MS });
}

/** Its replicators heal that one; healed is the first write that is answered. */
async function killPrimary(cluster: ComposeCluster): Promise<number> {
  await cluster.docker(["kill", await cluster.primaryContainer()]);
  const key = `bench-${process.pid}-after-the-kill`;
  const write = async () => {
    const response = await fetch(`http://127.0.0.1:${cluster.port}/orders`, {
      method: "POST",
      headers: { "idempotency-key": key },
      body: JSON.stringify({ product: 5, quantity: 1 }),
    });
    return response.ok;
  };
  return until(write, { what: "a write", withinMs: HEAL_WITHIN_MS });
}

function judge(kills: readonly Kill[], records: readonly RequestRecord[]) {
  const failed = records.filter((record) => hasFailed(record) && isIdempotent(record));
  const during = ({ fromMs, untilMs }: Kill) =>
    failed.filter(({ atMs }) => atMs >= fromMs && atMs < untilMs).length;
  const byPart = Object.fromEntries(
    kills.map((kill) => [kill.part, { failed: during(kill), healMs: kill.healMs }]),
  );
  const throughProxy = byPart.haproxy?.failed ?? 0;
  return {
    idempotentRequests: records.filter(isIdempotent).length,
    idempotentFailed: failed.length - throughProxy,
    idempotentFailedWhileHaproxyWasAway: throughProxy,
    byPart,
  };
}

const round = (value: number) => Math.round(value * 100) / 100;
const say = (text: string) => void process.stderr.write(`compose: ${text}\n`);
