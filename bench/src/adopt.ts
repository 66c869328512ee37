/**
 * From `docker run` with labels to a shadow that serves, with 100 MB of state: a web server over a folder of files, and the
 * example service over its SQLite database. What ran goes on as it is: the same process before and after.
 */

import { mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { openWriter } from "@understudy/example-catalog/database";
import { resourceOfLabels } from "@understudy/resource/docker-labels";
import { checkImage } from "@understudy/testkit/container-stage";
import { waitFor } from "@understudy/testkit/wait";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { catalogRun } from "./container-catalog.ts";
import {
  type ContainerCluster,
  POOL,
  waitForShadow,
  watchNoise,
  withContainerCluster,
} from "./container-cluster.ts";
import { fillFolder, findWebServer } from "./container-web.ts";

const ROUNDS = 3;
const STATE_MB = 100;
const MB = 1e6;
const PADDING_BYTES = 16_000;
const ANSWER_WITHIN_MS = 60_000;
const POLL_MS = 10;

/** How one container is started, and what its shadow must answer. */
type Case = {
  readonly image: string;
  readonly args: readonly string[];
  readonly command: readonly string[];
  readonly stateDir: string;
  readonly port: number;
  readonly path: string;
};

export async function run(options: BenchOptions): Promise<BenchResult> {
  const rounds = Number(options.get("rounds") ?? ROUNDS);
  const bytes = Number(options.get("mb") ?? STATE_MB) * MB;
  return withContainerCluster(
    async (on) => {
      const web = await findWebServer(on.stage, options.get("web-image"));
      const image = options.get("image") ?? "understudy-example-catalog";
      await checkImage(
        on.stage,
        image,
        "docker build --build-arg SERVICE=catalog -t understudy-example-catalog .",
      );
      const noise = watchNoise();
      const results = { web: [] as Round[], sqlite: [] as Round[] };
      for (let round = 0; round < rounds; round += 1) {
        results.web.push(await adopt(on, `site-${round}`, await webCase(on, { web, bytes, round })));
        console.error(`adopt: web ${JSON.stringify(results.web.at(-1))}`);
        results.sqlite.push(
          await adopt(on, `catalog-${round}`, await sqliteCase(on, { image, bytes, round })),
        );
        console.error(`adopt: sqlite ${JSON.stringify(results.sqlite.at(-1))}`);
      }
      const all = [...results.web, ...results.sqlite];
      return {
        ...noise(),
        worstMs: Math.max(...all.map(({ tookMs }) => tookMs)),
        samePid: all.every(({ samePid }) => samePid),
        stateMb: bytes / MB,
        webImage: web.image,
        ...results,
      };
    },
    { healthPath: "/" },
  );
}

type Round = {
  readonly tookMs: number;
  readonly runMs: number;
  readonly seedMs: number;
  readonly samePid: boolean;
};

async function webCase(
  on: ContainerCluster,
  { web, bytes, round }: { web: Awaited<ReturnType<typeof findWebServer>>; bytes: number; round: number },
): Promise<Case> {
  const dir = join(on.owner.folder, `site-${round}`);
  mkdirSync(dir, { mode: 0o755 });
  fillFolder(dir, bytes);
  const labels = [`understudy.state=${web.stateDir}`, "understudy.on-version=reopens", "understudy.port=80"];
  const args = [...labelled(labels), "--volume", `${dir}:${web.stateDir}`, ...web.args];
  return { image: web.image, args, command: web.command, stateDir: dir, port: 80, path: "/index.html" };
}

async function sqliteCase(
  on: ContainerCluster,
  { image, bytes, round }: { image: string; bytes: number; round: number },
): Promise<Case> {
  const resource = `catalog-${round}`;
  const started = await catalogRun(on, { resource, folder: join(on.owner.folder, resource) });
  openWriter(started.stateDir, { products: 4_000, seed: 1 }).close();
  padDatabase(join(started.stateDir, "catalog.db"), bytes);
  const args = [...labelled([...started.labels, "understudy.health=/healthz"]), ...started.args];
  return { image, args, command: [], stateDir: started.stateDir, port: started.port, path: "/products/1" };
}

function labelled(labels: readonly string[]): string[] {
  return ["understudy.enable=true", "understudy.reads=GET,HEAD", ...labels].flatMap((label) => [
    "--label",
    label,
  ]);
}

/** Rows that the service never looks at, until the file is as large as wanted. */
function padDatabase(file: string, bytes: number): void {
  const db = new DatabaseSync(file);
  db.exec("CREATE TABLE padding (id INTEGER PRIMARY KEY, data BLOB NOT NULL)");
  const rows = Math.ceil((bytes - statSync(file).size) / PADDING_BYTES);
  db.exec(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})
     INSERT INTO padding (data) SELECT randomblob(${PADDING_BYTES - 100}) FROM n`,
  );
  db.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  db.close();
}

async function adopt(on: ContainerCluster, name: string, of: Case): Promise<Round> {
  const container = `understudy-${on.owner.id}-${name}`;
  const pidOf = async () => (await on.engine.inspect(container))!.State.Pid;
  const observed = on.watch(name);
  const startMs = performance.now();
  const startedAtMs = Date.now();
  await on.stage.start(container, [
    ...of.args,
    "--label",
    `understudy.name=${name}`,
    of.image,
    ...of.command,
  ]);
  const runMs = performance.now() - startMs;
  const inspect = (await on.engine.inspect(container))!;
  const resource = resourceOfLabels(inspect, { pools: [POOL], isFile: (path) => path.endsWith(".db") });
  const applied = on.apply([{ ...resource, shadows: { min: 1, max: 1 } }]);
  const shadow = await waitForShadow(observed);
  const seedMs = performance.now() - startMs - runMs;
  await waitFor(async () => (await fetch(`http://${shadow.address}${of.path}`)).ok, {
    withinMs: ANSWER_WITHIN_MS,
    everyMs: POLL_MS,
    what: `an answer of ${shadow.name}`,
  });
  const tookMs = performance.now() - startMs;
  for (const { atMs, what } of observed.events)
    console.error(`adopt: ${name} ${what} at ${atMs - startedAtMs} ms`);
  await applied;
  const samePid = (await pidOf()) === inspect.State.Pid;
  // Let go of it: the next round has the pool for itself.
  await on.apply([]);
  await on.stage.docker("rm", "--force", container);
  return { tookMs: Math.round(tookMs), runMs: Math.round(runMs), seedMs: Math.round(seedMs), samePid };
}
