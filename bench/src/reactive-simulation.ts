/**
 * The demo's cluster as a simulation, to tune the reactive opponent on: the same arrivals, instances with eight workers
 * and lognormal service times, 2 s to make a shadow and 2 s at half speed. Each request is served, so queues, and not a
 * formula for them, say who is late. Pure: the same input gives the same result.
 */

import type { Arrival, Curve, Phases } from "@understudy/cli/demo/demand";
import { seededRandom } from "@understudy/testkit/random";

const WORKERS = 8;
const SERVICE_MS = 40;
const SERVICE_SPREAD = 0.4;
const SLO_MS = 200;
const OVERLOAD_PART = 0.01;
const CREATE_MS = 2_000;
const WARM_UP_MS = 2_000;
const COLD_SPEED = 0.5;
const SAMPLE_MS = 100;
const SHADOWS_MIN = 1;
export const SHADOWS_MAX = 4;

export type Seen = {
  readonly atMs: number;
  /** Instances there are or that were asked for, the primary included. */
  readonly instances: number;
  readonly serving: number;
  /** Mean part of the workers that were busy, over the last second, of the instances that serve. */
  readonly busy: number;
};

/** The wanted number of instances, asked every `everyMs`. */
export type Scaler = { readonly everyMs: number; wanted(seen: Seen): number };

export type Outcome = { readonly overloadSeconds: number; readonly shadowSeconds: number };

type Server = { readonly askedMs: number; readonly freeAtMs: number[]; credit: number; goneMs: number };

const isServing = (server: Server, atMs: number) =>
  atMs >= server.askedMs + CREATE_MS && atMs < server.goneMs;
const speedOf = (server: Server, atMs: number) =>
  atMs < server.askedMs + CREATE_MS + WARM_UP_MS ? COLD_SPEED : 1;

export function simulate(
  arrivals: readonly Arrival[],
  scaler: Scaler,
  options: { phases: Phases; seed: number },
): Outcome {
  const { phases, seed } = options;
  const random = seededRandom(seed);
  const endMs = phases.learningMs + phases.scoredMs;
  const servers: Server[] = [];
  const seconds = new Map<number, { all: number; over: number }>();
  const busy: number[] = [];
  setSize(servers, 1 + SHADOWS_MIN, Number.NEGATIVE_INFINITY);
  let sampleMs = 0;
  for (const { atMs } of arrivals) {
    if (atMs >= endMs) break;
    for (; sampleMs <= atMs; sampleMs += SAMPLE_MS) {
      busy.push(busyPart(servers, sampleMs));
      if (sampleMs % scaler.everyMs !== 0) continue;
      const recent = busy.slice(-1000 / SAMPLE_MS);
      const mean = recent.reduce((sum, part) => sum + part, 0) / recent.length;
      const instances = servers.filter((server) => sampleMs < server.goneMs).length;
      setSize(
        servers,
        scaler.wanted({
          atMs: sampleMs,
          instances,
          serving: servers.filter((one) => isServing(one, sampleMs)).length,
          busy: mean,
        }),
        sampleMs,
      );
    }
    const latencyMs = serve(
      servers,
      atMs,
      SERVICE_MS * Math.exp(SERVICE_SPREAD * random.normal() - SERVICE_SPREAD ** 2 / 2),
    );
    if (atMs < phases.learningMs) continue;
    const second = Math.floor(atMs / 1000);
    const counts = seconds.get(second) ?? { all: 0, over: 0 };
    seconds.set(second, { all: counts.all + 1, over: counts.over + (latencyMs > SLO_MS ? 1 : 0) });
  }
  const overloadSeconds = [...seconds.values()].filter(({ all, over }) => over > all * OVERLOAD_PART).length;
  const lived = servers
    .slice(1)
    .map((server) => Math.min(server.goneMs, endMs) - Math.max(server.askedMs, phases.learningMs));
  return { overloadSeconds, shadowSeconds: lived.reduce((sum, ms) => sum + Math.max(0, ms), 0) / 1000 };
}

/** Asks for more, or ends the newest first. */
function setSize(servers: Server[], wanted: number, atMs: number): void {
  const bounded = Math.max(1 + SHADOWS_MIN, Math.min(1 + SHADOWS_MAX, wanted));
  const present = servers.filter((server) => atMs < server.goneMs);
  for (let size = present.length; size < bounded; size += 1) {
    servers.push({
      askedMs: atMs,
      freeAtMs: new Array(WORKERS).fill(0),
      credit: 0,
      goneMs: Number.POSITIVE_INFINITY,
    });
  }
  for (const server of present.slice(bounded)) server.goneMs = atMs;
}

/** Sends one request to the serving instance whose turn it is, by speed (smooth weighted round robin). */
function serve(servers: readonly Server[], atMs: number, workMs: number): number {
  let chosen: Server | undefined;
  let total = 0;
  for (const server of servers) {
    if (!isServing(server, atMs)) continue;
    const speed = speedOf(server, atMs);
    server.credit += speed;
    total += speed;
    if (!chosen || server.credit > chosen.credit) chosen = server;
  }
  chosen!.credit -= total;
  const free = chosen!.freeAtMs;
  const worker = free.indexOf(Math.min(...free));
  const startMs = Math.max(atMs, free[worker]!);
  free[worker] = startMs + workMs / speedOf(chosen!, startMs);
  return free[worker]! - atMs;
}

function busyPart(servers: readonly Server[], atMs: number): number {
  const serving = servers.filter((server) => isServing(server, atMs));
  const busy = serving.map((server) => server.freeAtMs.filter((freeAtMs) => freeAtMs > atMs).length);
  return busy.reduce((sum, count) => sum + count, 0) / (serving.length * WORKERS);
}

/** Within this much of the target nothing changes, as in the Kubernetes HPA and in services/balancer. */
const TOLERANCE = 0.1;

/**
 * The reactive policy of services/balancer: looks once a second at how busy the workers are, out at once, in only when
 * nothing within `holdMs` needed more.
 */
export function reactive({ target, holdMs }: { target: number; holdMs: number }): Scaler {
  let peaks: { readonly atMs: number; readonly instances: number }[] = [];
  return {
    everyMs: 1_000,
    wanted({ atMs, instances, serving, busy }) {
      const isNear = Math.abs(busy / target - 1) <= TOLERANCE;
      const needed = isNear ? instances : Math.ceil((serving * busy) / target - 1e-9);
      peaks = [...peaks.filter((peak) => atMs - peak.atMs < holdMs), { atMs, instances: needed }];
      return Math.max(...peaks.map((peak) => peak.instances));
    },
  };
}

/** Knows the demand, without its noise, `aheadMs` before it comes: what a good forecast can cost at best. */
export function foreseeing(
  curve: Curve,
  options: { aheadMs: number; holdMs: number; target: number; margin: number },
): Scaler {
  const { aheadMs, holdMs, target, margin } = options;
  return {
    everyMs: SAMPLE_MS,
    wanted({ atMs }) {
      let most = 0;
      for (let ms = atMs - holdMs; ms <= atMs + aheadMs; ms += SAMPLE_MS) most = Math.max(most, curve(ms));
      return Math.ceil((most * margin) / target);
    },
  };
}

export function always(instances: number): Scaler {
  return { everyMs: 1_000, wanted: () => instances };
}
