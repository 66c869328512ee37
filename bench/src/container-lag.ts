/**
 * From a change in a container's volume to its being seen through the shadow's port: a file that is replaced in the folder of
 * a web server, and a transaction in the example service's database. The shadow is asked directly, without a pause; a
 * change counts as seen when the answer that shows it is there.
 */

import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
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
import { fillFolder, findWebServer } from "./container-web.ts";

const CHANGES = 300;
const EVERY_MS = 50;
/** Nobody waits for these changes, so the tick is part of the lag: this one is for state that readers follow closely. */
const TICK_MS = 10;
const SEEN_WITHIN_MS = 30_000;
const SITE_BYTES = 1_000_000;

/** Makes change number n; resolves at the moment from which it is durable. */
type Change = (n: number) => Promise<number>;
type Look = () => Promise<number>;

export async function run(options: BenchOptions): Promise<BenchResult> {
  const changes = Number(options.get("changes") ?? CHANGES);
  return withContainerCluster(
    async (on) => {
      const web = await findWebServer(on.stage, options.get("web-image"));
      const image = options.get("image") ?? "understudy-example-catalog";
      await checkImage(
        on.stage,
        image,
        "docker build --build-arg SERVICE=catalog -t understudy-example-catalog .",
      );
      const files = await ofFiles(on, { web, changes });
      console.error(`container-lag: files ${JSON.stringify(files)}`);
      const sqlite = await ofDatabase(on, { image, changes });
      console.error(`container-lag: sqlite ${JSON.stringify(sqlite)}`);
      return {
        valid: files.valid && sqlite.valid,
        p50Ms: Math.max(files.p50Ms, sqlite.p50Ms),
        p99Ms: Math.max(files.p99Ms, sqlite.p99Ms),
        webImage: web.image,
        tickMs: TICK_MS,
        files,
        sqlite,
      };
    },
    { healthPath: "/" },
  );
}

async function ofFiles(
  on: ContainerCluster,
  { web, changes }: { web: Awaited<ReturnType<typeof findWebServer>>; changes: number },
) {
  const dir = join(on.owner.folder, "site");
  mkdirSync(dir, { mode: 0o755 });
  fillFolder(dir, SITE_BYTES);
  const name = `understudy-${on.owner.id}-site`;
  await on.stage.start(name, ["--volume", `${dir}:${web.stateDir}`, ...web.args, web.image, ...web.command]);
  const observed = on.watch("site");
  const state = { paths: ["."], consistency: "none", onVersion: "reopens", tickMs: TICK_MS };
  const container = { name, port: 80, stateDir: web.stateDir, network: on.stage.network };
  await on.apply([resourceOf("site", { state, container, health: { http: "", tcp: true } })]);
  const { address } = await waitForShadow(observed);
  const draft = join(dir, "index.draft");
  const change: Change = async (n) => {
    writeFileSync(draft, `${n}\n`);
    renameSync(draft, join(dir, "index.html"));
    return performance.now();
  };
  const look: Look = async () => Number(await bodyOf(`http://${address}/index.html`));
  return measure({ change, look, changes });
}

async function ofDatabase(on: ContainerCluster, { image, changes }: { image: string; changes: number }) {
  const name = `understudy-${on.owner.id}-catalog`;
  const started = await catalogRun(on, { resource: "catalog", folder: join(on.owner.folder, "catalog") });
  await on.stage.start(name, [...started.args, image]);
  const observed = on.watch("catalog");
  const { roleFile, port, stateInside: stateDir } = started;
  const container = { name, port, stateDir, roleFile, onPromote: "role-file", network: on.stage.network };
  const state = { paths: ["catalog.db"], consistency: "sqlite", tickMs: TICK_MS };
  await on.apply([resourceOf("catalog", { state, container, health: { http: "/healthz" } })]);
  const { address } = await waitForShadow(observed);
  const primary = observed.roles.at(-1)!.roles;
  const at = primary.instances.find((instance) => instance.name === primary.primary)!.address;
  await waitFor(async () => (await view(at, "first")) > 0, { withinMs: SEEN_WITHIN_MS, what: "a write" });
  const look: Look = async () => Number(JSON.parse(await bodyOf(`http://${address}/products/1`)).views) - 1;
  const change: Change = async (n) => {
    await view(at, `change-${n}`);
    return performance.now();
  };
  return measure({ change, look, changes });
}

function resourceOf(name: string, of: Readonly<Record<string, unknown>>): unknown {
  const common = {
    kind: "container",
    driver: "docker",
    routing: { pool: POOL },
    shadows: { min: 1, max: 1 },
  };
  return { name, ...common, ...of };
}

async function measure({ change, look, changes }: { change: Change; look: Look; changes: number }) {
  const noise = watchNoise();
  const madeAt: number[] = [];
  const seenAt: number[] = [];
  const making = (async () => {
    const startMs = performance.now();
    for (let n = 1; n <= changes; n += 1) {
      madeAt[n] = await change(n);
      await sleep(Math.max(0, startMs + n * EVERY_MS - performance.now()));
    }
  })();
  const untilMs = performance.now() + changes * EVERY_MS + SEEN_WITHIN_MS;
  for (let seen = 0; seen < changes && performance.now() < untilMs; ) {
    const shown = await look();
    const nowMs = performance.now();
    for (; seen < shown; seen += 1) seenAt[seen + 1] = nowMs;
  }
  await making;
  const lags = madeAt.flatMap((at, n) => (seenAt[n] === undefined ? [] : [Math.max(0, seenAt[n] - at)]));
  if (lags.length < changes)
    throw new Error(`${changes - lags.length} of ${changes} changes were never seen`);
  const ranks = { p50Ms: rankOf(lags, 0.5), p99Ms: rankOf(lags, 0.99), maxMs: rankOf(lags, 1) };
  return { ...ranks, changes, ...noise() };
}

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Throws for an answer that is none. */
function bodyOf(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => {
        text += part;
      });
      response.on("end", () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`${url}: ${response.statusCode}`)),
      );
    }).on("error", reject);
  });
}

/** Counts one view of product 1; resolves with how many there are. */
async function view(address: string, key: string): Promise<number> {
  const response = await fetch(`http://${address}/views`, {
    method: "POST",
    headers: { "idempotency-key": key },
    body: JSON.stringify({ product: 1 }),
  });
  const body = (await response.json()) as { views?: number };
  if (!response.ok) throw new Error(`a view was answered ${response.status}`);
  return body.views ?? 0;
}
