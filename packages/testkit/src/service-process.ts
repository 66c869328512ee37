/** One of the five services as its own process, with the environment that a deployment would give it and nothing else. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { type Child, startChild } from "./child.ts";
import { NICENESS } from "./niceness.ts";
import { freePort } from "./ports.ts";
import type { Run } from "./run.ts";
import { OWN_FOLDER, REPOSITORY } from "./run-folder.ts";
import type { ServiceName } from "./servers/nats-users.ts";
import type { Credentials } from "./servers/passwords.ts";

const HOST = "127.0.0.1";
const PROBE_TIMEOUT_MS = 1000;
/** V8 and malloc would rather take memory than give it back: for 100 instances the five services held 1,120 MB without these. */
const MEMORY = { NODE_OPTIONS: "--max-semi-space-size=4", MALLOC_ARENA_MAX: "2" };

const REPLICATING: ReadonlySet<ServiceName> = new Set(["replicator", "health"]);

export type ServiceProcess = Child & {
  /** host:port of /livez, /readyz and /metrics. */
  readonly probes: string;
  isReady(): Promise<boolean>;
};

export type ServiceOptions = {
  readonly name: ServiceName;
  readonly host: string;
  readonly nats: { readonly url: string } & Credentials;
  readonly redis: { readonly url: string; readonly passwordFile: string };
  readonly grpc: { readonly replicator: string; readonly health: string; readonly balancer: string };
  readonly tlsDir: string;
  readonly traceFile: string;
  readonly logLevel: string;
  readonly restartAfterMs?: number;
  /** For what one service alone knows. */
  readonly env: Readonly<Record<string, string>>;
};

/** Starts it and resolves when it lives; it may be ready only once a configuration is applied. */
export async function startService(run: Run, options: ServiceOptions): Promise<ServiceProcess> {
  const folder = join(run.folder, options.name);
  const dataDir = join(folder, "data");
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const probes = `${HOST}:${await freePort()}`;
  const child = await startChild(run, {
    name: options.name,
    folder,
    cwd: REPOSITORY,
    file: process.execPath,
    args: () => [join(REPOSITORY, "services", options.name, "src/main.ts")],
    env: environmentOf(options, { dataDir, probes }),
    isReady: () => answers(`http://${probes}/livez`),
    niceness: REPLICATING.has(options.name) ? NICENESS.replication : NICENESS.traffic,
    ...(options.restartAfterMs === undefined ? {} : { restartAfterMs: options.restartAfterMs }),
  });
  return Object.assign(child, { probes, isReady: () => answers(`http://${probes}/readyz`) });
}

function environmentOf(
  options: ServiceOptions,
  { dataDir, probes }: { dataDir: string; probes: string },
): Record<string, string> {
  const own = (options.grpc as Record<string, string>)[options.name];
  const isReplicator = options.name === "replicator";
  return {
    // Compiled code is kept between starts: a third less time until a service answers.
    NODE_COMPILE_CACHE: join(OWN_FOLDER, "compile-cache"),
    ...MEMORY,
    UNDERSTUDY_HOST: options.host,
    UNDERSTUDY_NATS_URL: options.nats.url,
    UNDERSTUDY_NATS_USER: options.nats.user,
    ...secret("UNDERSTUDY_NATS_PASSWORD", options.nats.passwordFile),
    UNDERSTUDY_TLS_DIR: options.tlsDir,
    UNDERSTUDY_REPLICATOR_GRPC: options.grpc.replicator,
    UNDERSTUDY_HEALTH_GRPC: options.grpc.health,
    UNDERSTUDY_BALANCER_GRPC: options.grpc.balancer,
    UNDERSTUDY_PROBES_LISTEN: probes,
    UNDERSTUDY_DATA_DIR: dataDir,
    UNDERSTUDY_LOG_LEVEL: options.logLevel,
    UNDERSTUDY_TRACE_FILE: options.traceFile,
    ...(own ? { UNDERSTUDY_GRPC_LISTEN: own } : {}),
    ...(isReplicator ? { UNDERSTUDY_REDIS_URL: options.redis.url } : {}),
    ...(isReplicator ? secret("UNDERSTUDY_REDIS_PASSWORD", options.redis.passwordFile) : {}),
    ...options.env,
  };
}

/** Without a password the variable itself is there, and empty. */
function secret(name: string, file: string): Record<string, string> {
  return file === "" ? { [name]: "" } : { [`${name}_FILE`]: file };
}

async function answers(url: string): Promise<boolean> {
  const response = await fetch(url, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
  await response.arrayBuffer();
  return response.ok;
}
