/**
 * The catalog's instances as a simulation: each request waits for one of the workers, a new shadow takes its time to come
 * and runs at half speed until it is warm. Requests are served one by one, so queues, and not a formula for them, say who
 * is late.
 */

import type { Arrival } from "@understudy/cli/demo/demand";
import { createServiceTime } from "@understudy/example-catalog/service-time";
import type { Instance, Roles } from "@understudy/model/instance";
import { type Random, seededRandom } from "@understudy/testkit/random";
import type { Plan } from "@understudy/traffic/driver";

/** From request to ready, as measured in the demo. */
const CREATE_MIN_MS = 2_000;
const CREATE_MAX_MS = 3_200;
/** As the replicator drains. */
const DRAIN_MS = 300;

export type ClusterOptions = {
  readonly resource: string;
  readonly startMs: number;
  readonly workers: number;
  readonly serviceMs: number;
  readonly warmUpMs: number;
  readonly standingShadows: number;
  readonly seed: number;
};

/** What a collector reads of an instance: gauges of this moment, and rates since it looked last. */
export type InstanceLoad = {
  readonly name: string;
  readonly busyWorkers: number;
  readonly queuedRequests: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  readonly servedPerSecond: number;
};

export type Cluster = {
  /** Sends a request where the plan in force says; how long it takes. */
  serve(kind: Arrival["kind"], atMs: number): number;
  apply(plan: Plan): void;
  /** Makes shadows, or lets the newest go. */
  scale(wantedShadows: number, atMs: number): void;
  /** What has become of the instances by now; undefined: nothing new. */
  advance(atMs: number): Roles | undefined;
  read(intervalMs: number, atMs: number): InstanceLoad[];
  /** From request to removal, within a window. */
  shadowSeconds(fromMs: number, toMs: number): number;
};

type Running = { readonly startMs: number; readonly endMs: number };

type Simulated = {
  instance: Instance;
  readonly readyMs: number;
  goneMs: number;
  readonly freeAtMs: number[];
  running: Running[];
  credit: number;
  reads: number;
  writes: number;
};

export function createCluster(options: ClusterOptions): Cluster {
  const { resource, startMs, warmUpMs, standingShadows, seed } = options;
  const random = seededRandom(seed ^ 0xc1);
  const serviceTime = createServiceTime({ meanMs: options.serviceMs, seed });
  const all: Simulated[] = [];
  const longAgoMs = startMs - 60_000;
  for (let index = 0; index <= standingShadows; index += 1) {
    const made = newInstance(options, { index, requestedMs: longAgoMs, readyMs: longAgoMs });
    all.push({ ...made, instance: { ...made.instance, phase: "serving", readyAtMs: longAgoMs } });
  }
  const primary = all[0]!.instance.name;
  let readPpm: ReadonlyMap<string, number> = new Map();
  let isNews = true;

  const present = () => all.filter(({ instance }) => instance.phase !== "gone");
  const staying = () =>
    present().filter(({ instance }) => instance.name !== primary && instance.phase !== "draining");

  return {
    serve(kind, atMs) {
      const isWrite = kind === "order" || kind === "view";
      const server = isWrite ? all[0]! : pick(present(), readPpm, primary);
      if (isWrite) server.writes += 1;
      else server.reads += 1;
      const worker = server.freeAtMs.indexOf(Math.min(...server.freeAtMs));
      const begunMs = Math.max(atMs, server.freeAtMs[worker]!);
      const endMs = begunMs + serviceTime(begunMs < server.readyMs + warmUpMs);
      server.freeAtMs[worker] = endMs;
      server.running.push({ startMs: begunMs, endMs });
      return endMs - atMs;
    },
    apply(plan) {
      readPpm = new Map(plan.targets.map((target) => [target.instance, target.drain ? 0 : target.readPpm]));
    },
    scale(wantedShadows, atMs) {
      for (let count = staying().length; count < wantedShadows; count += 1) {
        all.push(
          newInstance(options, { index: all.length, requestedMs: atMs, readyMs: atMs + createMs(random) }),
        );
        isNews = true;
      }
      for (const going of staying().slice(wantedShadows)) {
        going.goneMs = atMs + (going.instance.phase === "serving" ? DRAIN_MS : 0);
        going.instance = { ...going.instance, phase: "draining" };
        isNews = true;
      }
    },
    advance(atMs) {
      for (const one of present()) {
        const { phase } = one.instance;
        if (atMs >= one.goneMs) one.instance = { ...one.instance, phase: "gone" };
        else if (phase === "seeding" && atMs >= one.readyMs)
          one.instance = { ...one.instance, phase: "serving", readyAtMs: one.readyMs };
        isNews ||= one.instance.phase !== phase;
      }
      if (!isNews) return undefined;
      isNews = false;
      return { resource, epoch: 1, primary, instances: present().map(({ instance }) => instance) };
    },
    read: (intervalMs, atMs) =>
      present()
        .filter(({ instance }) => instance.phase !== "seeding")
        .map((one) => readLoad(one, { intervalMs, atMs })),
    shadowSeconds(fromMs, toMs) {
      const lived = all
        .filter(({ instance }) => instance.name !== primary)
        .map((one) => Math.min(one.goneMs, toMs) - Math.max(one.instance.requestedAtMs, fromMs));
      return lived.reduce((sum, ms) => sum + Math.max(0, ms), 0) / 1_000;
    },
  };
}

function createMs(random: Random): number {
  return Math.round(CREATE_MIN_MS + random.next() * (CREATE_MAX_MS - CREATE_MIN_MS));
}

function newInstance(
  { resource, workers }: ClusterOptions,
  { index, requestedMs, readyMs }: { index: number; requestedMs: number; readyMs: number },
): Simulated {
  const name = `${resource}-${index + 1}`;
  const instance: Instance = {
    name,
    incarnation: `${name}-i`,
    host: "host-a",
    role: index === 0 ? "primary" : "shadow",
    phase: "seeding",
    address: `${name}.test:80`,
    gateAddress: `${name}.test:81`,
    pid: 1,
    pidStartTicks: 1,
    requestedAtMs: requestedMs,
    readyAtMs: 0,
  };
  const freeAtMs = new Array<number>(workers).fill(0);
  const goneMs = Number.POSITIVE_INFINITY;
  return { instance, readyMs, goneMs, freeAtMs, running: [], credit: 0, reads: 0, writes: 0 };
}

/** Whose turn it is (smooth weighted round robin, as HAProxy's); the primary while nobody has a share. */
function pick(
  present: readonly Simulated[],
  readPpm: ReadonlyMap<string, number>,
  primary: string,
): Simulated {
  let chosen: Simulated | undefined;
  let total = 0;
  for (const one of present) {
    const ppm = one.instance.phase === "serving" ? (readPpm.get(one.instance.name) ?? 0) : 0;
    if (ppm === 0) continue;
    one.credit += ppm;
    total += ppm;
    if (!chosen || one.credit > chosen.credit) chosen = one;
  }
  if (!chosen) return present.find(({ instance }) => instance.name === primary)!;
  chosen.credit -= total;
  return chosen;
}

/** Takes the counts since the last reading. */
function readLoad(one: Simulated, { intervalMs, atMs }: { intervalMs: number; atMs: number }): InstanceLoad {
  const perSecond = (count: number) => (count * 1_000) / intervalMs;
  const unfinished = one.running.filter(({ endMs }) => endMs > atMs);
  const load = {
    name: one.instance.name,
    busyWorkers: unfinished.filter(({ startMs }) => startMs <= atMs).length,
    queuedRequests: unfinished.filter(({ startMs }) => startMs > atMs).length,
    readsPerSecond: perSecond(one.reads),
    writesPerSecond: perSecond(one.writes),
    servedPerSecond: perSecond(one.running.length - unfinished.length),
  };
  one.running = unfinished;
  one.reads = 0;
  one.writes = 0;
  return load;
}
