/**
 * The repository's docker-compose.yml as a project of its own beside whatever else runs on the engine: brought up, asked, hurt part
 * by part, and removed with everything that its replicators made. One at a time on an engine: the catalog's container has a fixed name.
 */

import { execFile } from "node:child_process";
import { request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { REPOSITORY } from "./run-folder.ts";

const run = promisify(execFile);

/** The one container whose name is fixed, because a configuration file has to know it. */
export const CATALOG = "understudy-catalog";
/** What compose starts again by itself, in the order in which it is hurt. */
export const PARTS = [
  ...["nats", "redis", "haproxy", "collector", "collector-b", "predictor"],
  ...["balancer", "health", "replicator-b", "replicator"],
] as const;
export type Part = (typeof PARTS)[number];

const COMMAND_MS = 60_000;
const BUILD_MS = 540_000;
const DOWN_MS = 120_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** What the replicators made for the catalog: no part of the project. */
const OURS = ["--filter", "label=understudy.resource=catalog", "--filter", "label=understudy.manager"];
const LOOK_EVERY_MS = 100;

export type Usage = { readonly cores: number; readonly bytes: number };

export type ComposeCluster = {
  readonly port: number;
  build(): Promise<void>;
  /** Resolves when all is healthy. `args`: for example `--build`. */
  up(withinS: number, args?: readonly string[]): Promise<void>;
  /** What `understudy status` prints. */
  status(): Promise<string>;
  /** `docker ARGS`, and what it printed. */
  docker(args: readonly string[], timeoutMs?: number): Promise<string>;
  containerOf(part: string): Promise<string>;
  /** Ends the container's first process, as a crash does; compose's restart policy is what heals it. */
  crash(part: Part): Promise<void>;
  /** Whether it runs, is healthy, and has another process than the one that crashed. */
  isHealed(part: Part): Promise<boolean>;
  /** Processor and memory of a container over so long, health checks included. */
  usage(part: string, overMs: number): Promise<Usage>;
  /** Of whoever is primary. */
  primaryContainer(): Promise<string>;
  remove(): Promise<void>;
};

/** Throws an Error that says what to do when no engine or no compose plugin answers. */
export async function openComposeCluster(options: {
  project: string;
  port: number;
}): Promise<ComposeCluster> {
  const { project, port } = options;
  const env = { ...process.env, COMPOSE_PROJECT_NAME: project, WEB_PORT: String(port) };
  const crashed = new Map<Part, string>();

  async function docker(args: readonly string[], timeout = COMMAND_MS): Promise<string> {
    const { stdout } = await run("docker", args, {
      cwd: REPOSITORY,
      env,
      timeout,
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    return stdout.trim();
  }
  const compose = (args: readonly string[], timeoutMs?: number) => docker(["compose", ...args], timeoutMs);
  const containerOf = (part: string) => compose(["ps", "-q", part]);
  const pidOf = (container: string) => docker(["inspect", "-f", "{{.State.Pid}}", container]);
  const status = () => compose(["run", "--rm", "-T", "cli", "status"]);

  try {
    await docker(["version"]);
    await docker(["compose", "version"]);
  } catch (error) {
    throw new Error(
      "no engine with the compose plugin answers: start Docker, or name its socket in DOCKER_HOST",
      { cause: error },
    );
  }
  if ((await docker(["ps", "-aq", "--filter", `name=^${CATALOG}$`])) !== "")
    throw new Error(
      `there is a container ${CATALOG} already: remove that cluster first (docs/containers.md)`,
    );
  return {
    port,
    docker,
    status,
    containerOf,
    build: async () => void (await compose(["build", "--quiet"], BUILD_MS)),
    up: async (withinS, args = []) => {
      const all = ["up", "-d", ...args, "--wait", "--wait-timeout", String(withinS)];
      await compose(all, withinS * 1000 + COMMAND_MS);
    },
    crash: async (part) => {
      const pid = await pidOf(await containerOf(part));
      crashed.set(part, pid);
      process.kill(Number(pid), "SIGKILL");
    },
    isHealed: async (part) => {
      const format = "{{.State.Pid}} {{.State.Health.Status}}";
      const [pid, health] = (await docker(["inspect", "-f", format, await containerOf(part)])).split(" ");
      return pid !== "0" && pid !== crashed.get(part) && health === "healthy";
    },
    usage: async (part, overMs) => {
      const id = await containerOf(part);
      const before = await readStats(id);
      await sleep(overMs);
      const after = await readStats(id);
      const cores = (after.busyNs - before.busyNs) / 1e6 / (after.atMs - before.atMs);
      return { cores, bytes: after.bytes };
    },
    primaryContainer: async () => {
      const primary = /primary (catalog-\d+)/.exec(await status())?.[1];
      const label = `label=understudy.instance=${primary}`;
      const made = await docker(["ps", "--filter", label, "--format", "{{.Names}}"]);
      // The adopted container, unless somebody else is the primary by now.
      return made.split("\n")[0] || CATALOG;
    },
    remove: async () => {
      // They would make them again.
      await compose(["stop", "replicator", "replicator-b"]);
      const remove = async (list: readonly string[], command: readonly string[]) => {
        const ids = await docker(list);
        if (ids !== "") await docker([...command, ...ids.split("\n")]);
      };
      await remove(["ps", "-aq", ...OURS], ["rm", "-f", "-v"]);
      await compose(["--profile", "*", "down", "--volumes", "--timeout", "3"], DOWN_MS);
      await remove(["volume", "ls", "-q", ...OURS], ["volume", "rm", "-f"]);
    },
  };
}

/** Whether `understudy status` shows a shadow in sync. */
export function hasShadowInSync(status: string): boolean {
  return /^catalog-\d+ +shadow +serving .* yes /m.test(status);
}

/** Until it holds; a command that fails or comes too late is no answer yet. Resolves to how long it took. */
export async function until(
  holds: () => boolean | Promise<boolean>,
  { what, withinMs }: { what: string; withinMs: number },
): Promise<number> {
  const startedMs = performance.now();
  for (;;) {
    if (await Promise.resolve(holds()).catch(() => false)) return performance.now() - startedMs;
    if (performance.now() - startedMs > withinMs) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(LOOK_EVERY_MS);
  }
}

type Stats = { readonly atMs: number; readonly busyNs: number; readonly bytes: number };

/** The engine's own counters, without the second that `docker stats` takes for them. */
async function readStats(container: string): Promise<Stats> {
  const path = `/containers/${container}/stats?stream=false&one-shot=true`;
  const stats = JSON.parse(await ask(path)) as {
    cpu_stats: { cpu_usage: { total_usage: number } };
    memory_stats: { usage: number; stats: Record<string, number> };
  };
  const { usage, stats: kinds } = stats.memory_stats;
  // As docker stats: without the pages of files that nobody used of late. Named differently in cgroup v1 and v2.
  const idleFiles = kinds.total_inactive_file ?? kinds.inactive_file ?? 0;
  return {
    atMs: performance.now(),
    busyNs: stats.cpu_stats.cpu_usage.total_usage,
    bytes: usage - idleFiles,
  };
}

function ask(path: string): Promise<string> {
  const { DOCKER_HOST = "unix:///var/run/docker.sock" } = process.env;
  const { protocol, hostname, port } = new URL(DOCKER_HOST);
  const where =
    protocol === "unix:" ? { socketPath: DOCKER_HOST.slice("unix://".length) } : { host: hostname, port };
  return new Promise((resolve, reject) => {
    const asked = request({ ...where, path, timeout: COMMAND_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      response.on("end", () =>
        response.statusCode === 200 ? resolve(text) : reject(new Error(`engine: ${path}: ${text}`)),
      );
    });
    asked.on("error", reject).on("timeout", () => asked.destroy(new Error(`engine: ${path}: no answer`)));
    asked.end();
  });
}
