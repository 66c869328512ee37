/** A replicator for tests: everything of the service but NATS and its environment; its instances are real processes. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import type { Bus } from "@understudy/bus/bus";
import { listenMirror } from "@understudy/mirror/listener";
import { openPrimary } from "@understudy/mirror/primary";
import type { ResourceSpec } from "@understudy/model/policy";
import { openProcessDriver } from "@understudy/resource/process";
import { systemClock } from "@understudy/service/clock";
import { type Client, connectGrpc, serveGrpc } from "@understudy/service/grpc";
import { openLog } from "@understudy/service/log";
import { runActors } from "@understudy/service/run";
import { startTelemetry } from "@understudy/service/telemetry";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { openRedisStore } from "@understudy/state/redis";
import { freePort } from "@understudy/testkit/ports";
import { processRun } from "@understudy/testkit/run";
import type { RedisServer } from "@understudy/testkit/servers/redis";
import { HealthControl, ReplicationControl, StatusRequestSchema } from "@understudy/wire/gen/control";
import { createReplicator, type Replicator } from "../src/replicator.ts";

export const RESOURCE = "catalog";
const LOOPBACK = "127.0.0.1";
export const CATALOG = new URL("../../../examples/catalog/src/main.ts", import.meta.url).pathname;

export type Place = {
  readonly folder: string;
  readonly redis: RedisServer;
  readonly bus: Bus;
  readonly grpcPort: number;
  readonly mirrorPort: number;
  /** "host-a" unless it is one of several. */
  readonly host?: string;
  /** Folder of the certificates; `folder`/tls unless hosts share it. */
  readonly tls?: string;
};

export function tlsOf(place: Place, name: string): string {
  return join(place.tls ?? join(place.folder, "tls"), name);
}

export async function preparePlace(parts: { folder: string; redis: RedisServer; bus: Bus }): Promise<Place> {
  const authority = await createAuthority(join(parts.folder, "tls"));
  for (const name of ["replicator", "cli", "balancer", "collector", `app-${RESOURCE}`, "app-other"]) {
    await issueCertificate(authority, { name, dir: join(parts.folder, "tls", name) });
  }
  return { ...parts, grpcPort: await freePort(), mirrorPort: await freePort() };
}

export function yamlOf(
  place: Place,
  { min = 1, leaseMs = 2000 }: { min?: number; leaseMs?: number } = {},
): string {
  return `
resources:
  - name: ${RESOURCE}
    run:
      readyWithinMs: 60000
      command: ["${process.execPath}", "${CATALOG}"]
      env:
        UNDERSTUDY_REPLICATOR_GRPC: "${LOOPBACK}:${place.grpcPort}"
        UNDERSTUDY_TLS_DIR: "${join(place.folder, "tls", `app-${RESOURCE}`)}"
        CATALOG_START_MS: "100"
        CATALOG_SERVICE_MS: "2"
        CATALOG_WARM_UP_MS: "0"
        CATALOG_PRODUCTS: "500"
    state: { paths: [catalog.db], consistency: sqlite }
    routing: { pool: web }
    shadows: { min: ${min}, max: 3 }
    health: { http: /healthz }
    lease: { durationMs: ${leaseMs} }
pools:
  - { name: web, driver: memory, frontend: "127.0.0.1:1" }
hosts:
  - { name: host-a, control: "${LOOPBACK}:${place.grpcPort}", data: "${LOOPBACK}:${place.mirrorPort}" }
`;
}

/** A configuration under which nothing runs here. */
export function emptyYaml(place: Place): string {
  return `hosts: [{ name: host-a, control: "${LOOPBACK}:${place.grpcPort}", data: "${LOOPBACK}:${place.mirrorPort}" }]`;
}

export type Started = {
  readonly replicator: Replicator;
  readonly client: Client<typeof ReplicationControl>;
  status(): Promise<Status>;
  stop(): Promise<void>;
};

export type Status = Awaited<ReturnType<Client<typeof ReplicationControl>["status"]>>["resources"][number];

export async function startReplicator(place: Place): Promise<Started> {
  const host = place.host ?? "host-a";
  const tls = readTls(tlsOf(place, place.host ? `replicator-${host}` : "replicator"));
  const log = openLog("replicator", process.env.UNDERSTUDY_TEST_LOG ?? "silent");
  const telemetry = await startTelemetry({
    service: "replicator",
    host,
    otlpEndpoint: "",
    traceFile: process.env.UNDERSTUDY_TEST_TRACE ?? "",
  });
  const password = readFileSync(place.redis.passwordFile, "utf8");
  const store = openRedisStore({ url: place.redis.url, password });
  // Health is another service's: what is told without it, the end of a child, is enough for a failover.
  const health = connectGrpc(HealthControl, `${LOOPBACK}:1`, tls);
  const driver = await openProcessDriver({
    runDir: join(place.folder, "run"),
    runOf: (resource): ResourceSpec["run"] | undefined => replicator.specOf(resource)?.run,
    address: () => replicator.address(),
    environment: { PATH: process.env.PATH, HOME: process.env.HOME, ...processRun().env },
    onError: (error) => log.warn("driver", { error }),
  });
  const replicator = createReplicator({
    host,
    gateHost: "",
    instanceAddress: "",
    dataDir: join(place.folder, "data"),
    clock: systemClock,
    bus: Promise.resolve(place.bus),
    store,
    driver,
    engine: { listenMirror, openPrimary },
    health,
    tls,
    telemetry: Promise.resolve(telemetry),
    log,
  });
  const listen = { host: LOOPBACK, port: place.grpcPort };
  const server = await serveGrpc({ listen, tls, services: [replicator.control, replicator.hostControl] });
  const client = clientOf(place, "cli");
  const stop = new AbortController();
  const running = runActors(replicator.actors, stop).catch((error: Error) => log.error("ended", { error }));
  return {
    replicator,
    client,
    status: async () => {
      const { resources } = await client.status(create(StatusRequestSchema, { resource: RESOURCE }));
      return resources[0]!;
    },
    stop: async () => {
      stop.abort();
      client.close();
      await server.close();
      await replicator.close();
      await running;
      health.close();
      await store.close();
      await telemetry.close();
    },
  };
}

export function clientOf(place: Place, name: string): Client<typeof ReplicationControl> {
  const tls = readTls(tlsOf(place, name));
  return connectGrpc(ReplicationControl, `${LOOPBACK}:${place.grpcPort}`, tls);
}
