/**
 * From `docker kill` of the primary to the first write that somebody else answers with success, at a client that goes on
 * writing through the load balancer: with a promotion that restarts the shadow once, and with one that it hears of from its role
 * file. The time starts before the engine is asked, and the killed one's own last answers do not count. Every other write is a
 * critical one, which is answered only once a shadow has it: with one shadow, once another one was made. Its time stands beside.
 */

import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { committedKeys } from "@understudy/cli/demo/committed";
import { primaryNow } from "@understudy/cli/demo/stack";
import { checkImage } from "@understudy/testkit/container-stage";
import { waitFor } from "@understudy/testkit/wait";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { catalogRun } from "./container-catalog.ts";
import {
  type ContainerCluster,
  POOL,
  rankOf,
  waitForShadow,
  watchNoise,
  withContainerCluster,
} from "./container-cluster.ts";

const ROUNDS = 20;
/** Path of the writes that wait for a Barrier. */
const CRITICAL = "/orders";
const WRITE_EVERY_MS = 10;
const WRITE_WITHIN_MS = 15_000;
const BACK_WITHIN_MS = 30_000;
/** The new shadow is there, and what it took to make it is over. */
const SETTLE_MS = 500;

const MODES = { reload: "role-file", restart: "restart" } as const;
type Mode = keyof typeof MODES;

export async function run(options: BenchOptions): Promise<BenchResult> {
  const rounds = Number(options.get("rounds") ?? ROUNDS);
  const only = options.get("only")?.split(",");
  return withContainerCluster(
    async (on) => {
      const image = options.get("image") ?? "understudy-example-catalog";
      await checkImage(
        on.stage,
        image,
        "docker build --build-arg SERVICE=catalog -t understudy-example-catalog .",
      );
      const noise = watchNoise();
      const results: Partial<Record<Mode, Awaited<ReturnType<typeof ofMode>>>> = {};
      for (const mode of ["reload", "restart"] as const)
        if (!only || only.includes(mode)) results[mode] = await ofMode(on, { mode, image, rounds });
      const lost = Object.values(results).reduce((sum, { lostWrites }) => sum + lostWrites, 0);
      return {
        ...noise(),
        reloadP99Ms: results.reload?.p99Ms ?? null,
        restartP99Ms: results.restart?.p99Ms ?? null,
        lostWrites: lost,
        ...results,
      };
    },
    { healthPath: "/healthz" },
  );
}

async function ofMode(
  on: ContainerCluster,
  { mode, image, rounds }: { mode: Mode; image: string; rounds: number },
) {
  const resource = `catalog-${mode}`;
  const name = `understudy-${on.owner.id}-${resource}`;
  const started = await catalogRun(on, { resource, folder: join(on.owner.folder, resource) });
  await on.stage.start(name, [...started.args, image]);
  const observed = on.watch(resource);
  const { roleFile, port, stateInside: stateDir } = started;
  const onPromote = MODES[mode];
  await on.apply([
    {
      name: resource,
      kind: "container",
      driver: "docker",
      container: { name, port, stateDir, roleFile, onPromote, network: on.stage.network },
      state: { paths: ["catalog.db"], consistency: "sqlite" },
      run: { readyWithinMs: 60_000 },
      routing: { pool: POOL },
      shadows: { min: 1, max: 1 },
      health: { http: "/healthz" },
    },
  ]);
  const timesMs: number[] = [];
  const criticalMs: number[] = [];
  const acknowledged = new Set<string>();
  for (let round = 0; round < rounds; round += 1) {
    await waitForShadow(observed);
    await sleep(SETTLE_MS);
    const primary = primaryNow(observed)!;
    const container = await containerOf(on, { instance: primary.name, adopted: name });
    const write = (n: number) =>
      send(`${on.url}${n % 2 === 0 ? CRITICAL : "/views"}`, `${mode}-${round}-${n}`);
    if ((await write(0)).by !== primary.name) throw new Error("the last primary does not answer writes");
    const took = await failover(on, { container, killed: primary.name, write, acknowledged });
    timesMs.push(took.firstMs);
    criticalMs.push(took.criticalMs);
    console.error(
      `container-failover: ${mode} ${round + 1}/${rounds}: ${took.firstMs.toFixed(0)} ms, a critical write ${took.criticalMs.toFixed(0)} ms`,
    );
  }
  await waitForShadow(observed);
  const lostWrites = await missing(primaryNow(observed)!.address, acknowledged);
  await on.apply([]);
  return {
    p50Ms: rankOf(timesMs, 0.5),
    p99Ms: rankOf(timesMs, 0.99),
    minMs: rankOf(timesMs, 0),
    criticalP50Ms: rankOf(criticalMs, 0.5),
    rounds: timesMs.length,
    criticalWrites: acknowledged.size,
    lostWrites,
    timesMs: timesMs.map(Math.round),
  };
}

/** The one that runs: what was adopted, or what was made for this instance since. */
async function containerOf(
  { engine, stage }: ContainerCluster,
  { instance, adopted }: { instance: string; adopted: string },
): Promise<string> {
  const made = await engine.listLabelled([stage.label, `understudy.instance=${instance}`]);
  for (const id of [...made, adopted]) if ((await engine.inspect(id))?.State.Running) return id;
  throw new Error(`no container of ${instance} runs`);
}

type Written = {
  readonly critical: boolean;
  readonly key: string;
  readonly by: string;
  readonly ok: boolean;
};

async function failover(
  { engine }: ContainerCluster,
  of: {
    container: string;
    killed: string;
    write: (n: number) => Promise<Written>;
    acknowledged: Set<string>;
  },
): Promise<{ firstMs: number; criticalMs: number }> {
  const { container, killed, write, acknowledged } = of;
  const pending: Promise<void>[] = [];
  let firstMs = Number.POSITIVE_INFINITY;
  let criticalMs = Number.POSITIVE_INFINITY;
  const startMs = performance.now();
  const kill = engine.kill(container, "SIGKILL");
  const isOver = () => performance.now() - startMs > BACK_WITHIN_MS || criticalMs < Number.POSITIVE_INFINITY;
  for (let n = 1; !isOver(); n += 1) {
    const answered = write(n).then(({ key, critical, ok, by }) => {
      if (ok && critical) acknowledged.add(key);
      if (!ok || by === killed) return;
      const tookMs = performance.now() - startMs;
      firstMs = Math.min(firstMs, tookMs);
      if (critical) criticalMs = Math.min(criticalMs, tookMs);
    });
    pending.push(answered);
    await sleep(Math.max(0, startMs + n * WRITE_EVERY_MS - performance.now()));
  }
  await kill;
  await Promise.all(pending);
  if (criticalMs === Number.POSITIVE_INFINITY)
    throw new Error(`no critical write was answered within ${BACK_WITHIN_MS} ms of the kill`);
  return { firstMs, criticalMs };
}

/** A failure is an answer like any other. */
async function send(url: string, key: string): Promise<Written> {
  const critical = url.endsWith(CRITICAL);
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: { "idempotency-key": key },
      body: JSON.stringify({ product: 1, quantity: 1 }),
      signal: AbortSignal.timeout(WRITE_WITHIN_MS),
    });
    await response.arrayBuffer();
    return { critical, key, by: response.headers.get("server-instance") ?? "", ok: response.ok };
  } catch {
    return { critical, key, by: "", ok: false };
  }
}

/** Acknowledged writes that the last primary does not have. */
async function missing(address: string, acknowledged: ReadonlySet<string>): Promise<number> {
  const there = await waitFor(() => committedKeys(address), {
    withinMs: BACK_WITHIN_MS,
    what: "the committed keys",
  });
  return [...acknowledged].filter((key) => !there.has(key)).length;
}
