/** Everything that one run of the demo stands on: HAProxy, the cluster of services under the demo's configuration, the bus. */

import { join } from "node:path";
import type { Bus } from "@understudy/bus/bus";
import { connectJetStream } from "@understudy/bus/jetstream";
import type { Instance, Roles } from "@understudy/model/instance";
import { type Cluster, startCluster } from "@understudy/testkit/cluster";
import { freePort } from "@understudy/testkit/ports";
import { openRun, type Run } from "@understudy/testkit/run";
import { OWN_FOLDER, REPOSITORY } from "@understudy/testkit/run-folder";
import { startHaproxy } from "@understudy/testkit/servers/haproxy";
import { waitFor } from "@understudy/testkit/wait";
import { haproxyFiles, renderHaproxyConfig } from "@understudy/traffic/haproxy/config";
import { demoConfiguration, POOL, type Policy, RESOURCE, STANDING_SHADOWS } from "./configuration.ts";
import { type Observed, watchCluster } from "./observe.ts";

const LOOPBACK = "127.0.0.1";
const SOCKET = "admin.sock";
const SLOTS = 8;
const READY_WITHIN_MS = 60_000;

export type Stack = {
  readonly run: Run;
  readonly cluster: Cluster;
  readonly frontendPort: number;
  /** Ends all of it. Idempotent. */
  close(): Promise<void>;
  keep(): Promise<void>;
};

/** Starts it and resolves when the primary and its standing shadow serve through HAProxy. */
export async function startStack(
  options: { policy: Policy; ratePerUnit: number; seed: number },
  { observed, signal, say }: { observed: Observed; signal: AbortSignal; say: (text: string) => void },
): Promise<Stack> {
  const run = openRun();
  const stop = new AbortController();
  let cluster: Cluster | undefined;
  let bus: Bus | undefined;
  const close = async () => {
    stop.abort();
    await bus?.close();
    await cluster?.close();
    await run.close();
  };
  try {
    say("starting NATS, Redis, HAProxy and the five services");
    const frontendPort = await freePort();
    const [socket, started] = await Promise.all([startBalancer(run, frontendPort), startCluster({ run })]);
    cluster = started;
    signal.throwIfAborted();
    bus = await connectJetStream({ ...cluster.access("cli"), name: "demo" });
    void watchCluster(bus, { resource: RESOURCE, observed, signal: stop.signal });
    await cluster.apply(await configurationOf(cluster, { ...options, socket, frontendPort }));
    say("waiting for the primary and its standing shadow");
    await waitFor(() => signal.aborted || isStanding(observed), {
      withinMs: READY_WITHIN_MS,
      what: "a shadow in sync",
    });
    signal.throwIfAborted();
    await waitFor(() => servesAll(frontendPort), {
      withinMs: READY_WITHIN_MS,
      what: "an answer through HAProxy",
    });
    return { run, cluster, frontendPort, close, keep: () => cluster!.keep() };
  } catch (error) {
    await close();
    throw error;
  }
}

async function startBalancer(run: Run, frontendPort: number): Promise<string> {
  let socket = "";
  await startHaproxy({
    run,
    socket: SOCKET,
    files: haproxyFiles(POOL),
    config: (dir) => {
      socket = join(dir, SOCKET);
      const backends = { reads: "reads", writes: "writes" };
      const frontend = `${LOOPBACK}:${frontendPort}`;
      return renderHaproxyConfig({
        dir,
        pool: { name: POOL, socket, backends, slots: SLOTS, frontend },
        healthPath: "/healthz",
      });
    },
  });
  return socket;
}

async function configurationOf(
  cluster: Cluster,
  options: { policy: Policy; ratePerUnit: number; seed: number; socket: string; frontendPort: number },
): Promise<string> {
  const place = {
    host: cluster.host,
    replicatorGrpc: cluster.grpc.replicator,
    mirrorData: cluster.mirrorData,
    appTlsDir: await cluster.tlsDir(`app-${RESOURCE}`),
    haproxySocket: options.socket,
    frontend: `${LOOPBACK}:${options.frontendPort}`,
    program: join(REPOSITORY, "examples/catalog/src/main.ts"),
    compileCache: join(OWN_FOLDER, "compile-cache"),
  };
  return demoConfiguration(place, options);
}

export function rolesNow(observed: Observed): Roles | undefined {
  return observed.roles.at(-1)?.roles;
}

export function primaryNow(observed: Observed): Instance | undefined {
  const roles = rolesNow(observed);
  return roles?.instances.find((instance) => instance.name === roles.primary && instance.phase === "serving");
}

/** Whether there is a primary and as many serving, in-sync shadows as should always stand. */
export function isStanding(observed: Observed): boolean {
  const shadows = rolesNow(observed)?.instances.filter(
    ({ role, phase, name }) =>
      role === "shadow" && phase === "serving" && observed.mirrored.get(name)?.inSync === true,
  );
  return primaryNow(observed) !== undefined && (shadows?.length ?? 0) >= STANDING_SHADOWS;
}

/** A read and a critical write through HAProxy, which takes the whole path: lease, commit, Barrier. */
async function servesAll(port: number): Promise<boolean> {
  const url = `http://${LOOPBACK}:${port}`;
  const read = await fetch(`${url}/products/1`, { signal: AbortSignal.timeout(2_000) });
  await read.text();
  const write = await fetch(`${url}/orders`, {
    method: "POST",
    headers: { "idempotency-key": "first-order" },
    body: JSON.stringify({ product: 1, quantity: 1 }),
    signal: AbortSignal.timeout(10_000),
  });
  await write.text();
  return read.ok && write.ok;
}
