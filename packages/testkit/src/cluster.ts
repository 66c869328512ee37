/**
 * A whole Understudy on one machine, started the way a deployment would start it: NATS with a user per service, Redis, a
 * certificate authority, the five services as five supervised processes. The demo, the benches and the end-to-end tests
 * all stand on it. The load balancer and the configuration are the caller's.
 */

import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connectJetStream, ensureStreams, type NatsAccess } from "@understudy/bus/jetstream";
import { parseConfiguration } from "@understudy/service/configuration";
import { applyConfiguration } from "@understudy/service/configuration-apply";
import { formatMistake } from "@understudy/service/configuration-mistakes";
import {
  applicationName,
  type CertificateAuthority,
  createAuthority,
  issueCertificate,
} from "@understudy/service/tls";
import { type Context, writeContext } from "./context.ts";
import { TestkitError } from "./error.ts";
import { freePort } from "./ports.ts";
import { openRun, type Run } from "./run.ts";
import { type NatsServer, startNats } from "./servers/nats.ts";
import { type NatsUserName, SERVICE_NAMES, type ServiceName } from "./servers/nats-users.ts";
import { type RedisServer, startRedis } from "./servers/redis.ts";
import { type ServiceProcess, startService } from "./service-process.ts";
import { waitFor } from "./wait.ts";

const LOOPBACK = "127.0.0.1";
const HOST_NAME = "host-a";
const RESTART_AFTER_MS = 200;
/** A state that is found full of data is read before its replicator is ready. */
const READY_WITHIN_MS = 60_000;

export type ClusterOptions = {
  /** What the cluster belongs to, for callers that start a load balancer of the same run first. */
  readonly run?: Run;
  /** Applied when the services live; `apply` does it later. */
  readonly configurationYaml?: string;
  /** As a supervisor: a service that ends by itself is started again after so long. Undefined: 200; null: never. */
  readonly restartAfterMs?: number | null;
  readonly logLevel?: string;
  /** Where the replicator answers gRPC, for instances that do not share this machine's loopback. Undefined: 127.0.0.1. */
  readonly replicatorAddress?: string;
  /** Environment for single services, besides what every deployment sets. */
  readonly env?: Readonly<Partial<Record<ServiceName, Readonly<Record<string, string>>>>>;
};

export type Cluster = {
  readonly run: Run;
  /** Name of the only host. */
  readonly host: string;
  readonly nats: NatsServer;
  readonly redis: RedisServer;
  readonly services: Readonly<Record<ServiceName, ServiceProcess>>;
  readonly grpc: { readonly replicator: string; readonly health: string; readonly balancer: string };
  /** Where the replicator takes mirror data: for `hosts[].data` of the configuration. */
  readonly mirrorData: string;
  /** Spans as JSON lines, one file per service. */
  readonly traceFolder: string;
  /** With everything that `understudy --context FILE` needs. */
  readonly contextFile: string;
  access(user: NatsUserName): NatsAccess;
  /** Folder of a certificate for `name`, such as "app-catalog"; made on first use. */
  tlsDir(name: string): Promise<string>;
  /** Applies a configuration and waits until every service is ready under it. */
  apply(yaml: string): Promise<void>;
  /** Ends everything of the run. Idempotent. */
  close(): Promise<void>;
  /** Leaves everything running when this process ends. */
  keep(): Promise<void>;
};

export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const run = options.run ?? openRun();
  try {
    return await start(run, options);
  } catch (error) {
    await run.close();
    throw error;
  }
}

async function start(run: Run, options: ClusterOptions): Promise<Cluster> {
  const traceFolder = join(run.folder, "traces");
  mkdirSync(traceFolder, { recursive: true, mode: 0o700 });
  const certificates = openCertificates(join(run.folder, "tls"));
  const [nats, redis, grpc, mirrorData] = await Promise.all([
    startNats({ run }),
    startRedis({ run }),
    grpcAddresses(options.replicatorAddress),
    loopback(),
  ]);
  const access = (user: NatsUserName) => accessOf(nats, user);
  await ensureStreams(access("admin"));
  const services = await startServices(run, { options, nats, redis, grpc, traceFolder, certificates });
  const contextFile = join(run.folder, "context.json");
  writeContext(contextFile, await contextOf({ run, nats, redis, grpc, services, certificates }));
  const cluster: Cluster = {
    run,
    host: HOST_NAME,
    nats,
    redis,
    services,
    grpc,
    mirrorData,
    traceFolder,
    contextFile,
    access,
    tlsDir: certificates.dirOf,
    apply: (yaml) => apply(yaml, { access: access("cli"), services, certificates }),
    close: async () => {
      // Orderly first: a service that is only swept away would be started again by its supervisor.
      await Promise.all(Object.values(services).map((service) => service.stop()));
      await Promise.all([nats.stop(), redis.stop()]);
      await run.close();
    },
    keep: () => run.keep(),
  };
  if (options.configurationYaml !== undefined) await cluster.apply(options.configurationYaml);
  return cluster;
}

async function loopback(): Promise<string> {
  return `${LOOPBACK}:${await freePort()}`;
}

async function grpcAddresses(replicatorAddress = LOOPBACK): Promise<Cluster["grpc"]> {
  return {
    replicator: `${replicatorAddress}:${await freePort()}`,
    health: await loopback(),
    balancer: await loopback(),
  };
}

export function accessOf(nats: NatsServer, name: NatsUserName): NatsAccess {
  const { user, passwordFile } = nats.credentials(name);
  return { url: nats.url, user, password: passwordFile === "" ? "" : readFileSync(passwordFile, "utf8") };
}

type Certificates = { dirOf(name: string): Promise<string> };

/** One authority per cluster; its key never leaves the folder. */
function openCertificates(folder: string): Certificates {
  let authority: Promise<CertificateAuthority> | undefined;
  const issued = new Map<string, Promise<string>>();
  async function issue(name: string): Promise<string> {
    authority ??= createAuthority(join(folder, "authority"));
    const dir = join(folder, name);
    await issueCertificate(await authority, { name, dir });
    return dir;
  }
  return {
    dirOf: (name) => {
      const dir = issued.get(name) ?? issue(name);
      issued.set(name, dir);
      return dir;
    },
  };
}

type Parts = {
  readonly options: ClusterOptions;
  readonly nats: NatsServer;
  readonly redis: RedisServer;
  readonly grpc: Cluster["grpc"];
  readonly traceFolder: string;
  readonly certificates: Certificates;
};

async function startServices(run: Run, parts: Parts): Promise<Record<ServiceName, ServiceProcess>> {
  const { options, nats, redis, grpc } = parts;
  const restartAfterMs = options.restartAfterMs === undefined ? RESTART_AFTER_MS : options.restartAfterMs;
  const started = SERVICE_NAMES.map(async (name) => {
    const service = await startService(run, {
      name,
      host: HOST_NAME,
      nats: { url: nats.url, ...nats.credentials(name) },
      redis,
      grpc,
      tlsDir: await parts.certificates.dirOf(name),
      traceFile: join(parts.traceFolder, `${name}.jsonl`),
      logLevel: options.logLevel ?? "info",
      ...(restartAfterMs === null ? {} : { restartAfterMs }),
      env: options.env?.[name] ?? {},
    });
    return [name, service] as const;
  });
  return Object.fromEntries(await Promise.all(started)) as Record<ServiceName, ServiceProcess>;
}

async function contextOf(parts: {
  run: Run;
  nats: NatsServer;
  redis: RedisServer;
  grpc: Cluster["grpc"];
  services: Record<ServiceName, ServiceProcess>;
  certificates: Certificates;
}): Promise<Context> {
  const { run, nats, redis, grpc, services } = parts;
  return {
    version: 1,
    run: { id: run.id, folder: run.folder },
    nats: { url: nats.url, ...nats.credentials("cli") },
    redis: { url: redis.url, passwordFile: redis.passwordFile },
    tlsDir: await parts.certificates.dirOf("cli"),
    grpc: { ...grpc, otherReplicators: [] },
    probes: Object.fromEntries(SERVICE_NAMES.map((name) => [name, services[name].probes])),
    subscriber: nats.credentials("subscriber"),
  };
}

async function apply(
  yaml: string,
  parts: { access: NatsAccess; services: Record<ServiceName, ServiceProcess>; certificates: Certificates },
): Promise<void> {
  const parsed = parseConfiguration(yaml, "configuration");
  // An instance asks for Barrier under a certificate of its resource's own, which must be there before it starts.
  if (parsed.ok)
    for (const { name } of parsed.configuration.resources)
      await parts.certificates.dirOf(applicationName(name));
  const bus = await connectJetStream({ ...parts.access, name: "testkit" });
  try {
    const outcome = await applyConfiguration(bus, {
      yaml,
      file: "configuration",
      source: "testkit",
      nowMs: Date.now(),
    });
    if (!outcome.applied) throw new TestkitError("not-ready", outcome.mistakes.map(formatMistake).join("\n"));
  } finally {
    await bus.close();
  }
  await waitUntilReady(parts.services);
}

async function waitUntilReady(services: Record<ServiceName, ServiceProcess>): Promise<void> {
  const all = SERVICE_NAMES.map((name) =>
    waitFor(() => services[name].isReady(), { withinMs: READY_WITHIN_MS, what: `readiness of ${name}` }),
  );
  await Promise.all(all);
}
