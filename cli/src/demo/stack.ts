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
import {
  containerEnvironment,
  DEMO_QUOTA,
  type DemoPlace,
  demoConfiguration,
  POOL,
  type Policy,
  RESOURCE,
  STANDING_SHADOWS,
} from "./configuration.ts";
import { type DemoContainers, INSIDE, openDemoContainers } from "./containers.ts";
import { type Observed, watchCluster } from "./observe.ts";

const LOOPBACK = "127.0.0.1";
const SOCKET = "admin.sock";
const SLOTS = 8;
const READY_WITHIN_MS = 60_000;

export type Stack = {
  readonly run: Run;
  readonly cluster: Cluster;
  readonly frontendPort: number;
  /** Ends this instance as a crash would. */
  kill(instance: Instance): Promise<void>;
  /** Ends all of it. Idempotent. */
  close(): Promise<void>;
  keep(): Promise<void>;
};

export type StackOptions = {
  readonly policy: Policy;
  readonly ratePerUnit: number;
  readonly seed: number;
  /** Of the example service, for instances that are containers; without it they are processes. */
  readonly image?: string | undefined;
};

/** Starts it and resolves when the primary and its standing shadow serve through HAProxy. */
export async function startStack(
  options: StackOptions,
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
    const containers = options.image === undefined ? undefined : await openDemoContainers(run, options.image);
    say("starting NATS, Redis, HAProxy and the five services");
    const frontendPort = await freePort();
    const [socket, started] = await Promise.all([
      startBalancer(run, frontendPort),
      startCluster({ run, ...(containers ? clusterFor(containers) : {}) }),
    ]);
    cluster = started;
    signal.throwIfAborted();
    bus = await connectJetStream({ ...cluster.access("cli"), name: "demo" });
    void watchCluster(bus, { resource: RESOURCE, observed, signal: stop.signal });
    const instances = containers
      ? await startContainer(cluster, containers, options)
      : await processesOf(cluster);
    await cluster.apply(configurationOf(cluster, { ...options, socket, frontendPort, instances }));
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
    const kill = async ({ name, pid }: Instance) =>
      containers ? containers.kill(name) : void process.kill(pid, "SIGKILL");
    return { run, cluster, frontendPort, kill, close, keep: () => cluster!.keep() };
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

/** The replicator needs the engine, and containers need the replicator, for a Barrier. */
function clusterFor({ stage }: DemoContainers) {
  return {
    replicatorAddress: stage.gateway,
    env: { replicator: { UNDERSTUDY_DOCKER_SOCKET: stage.socket } },
  };
}

async function startContainer(
  cluster: Cluster,
  containers: DemoContainers,
  size: StackOptions,
): Promise<DemoPlace["instances"]> {
  await containers.start({
    tlsDir: await cluster.tlsDir(`app-${RESOURCE}`),
    env: { UNDERSTUDY_REPLICATOR_GRPC: cluster.grpc.replicator, ...containerEnvironment(size) },
    args: ["--cpus", String(DEMO_QUOTA.cpus)],
  });
  const { name, stage } = containers;
  const { port, state, roleFile } = INSIDE;
  return { driver: "docker", name, network: stage.network, port, stateDir: state, roleFile };
}

async function processesOf(cluster: Cluster): Promise<DemoPlace["instances"]> {
  return {
    driver: "process",
    appTlsDir: await cluster.tlsDir(`app-${RESOURCE}`),
    program: join(REPOSITORY, "examples/catalog/src/main.ts"),
    compileCache: join(OWN_FOLDER, "compile-cache"),
  };
}

function configurationOf(
  cluster: Cluster,
  {
    socket,
    frontendPort,
    instances,
    ...options
  }: StackOptions & Pick<DemoPlace, "instances"> & { socket: string; frontendPort: number },
): string {
  const place = {
    host: cluster.host,
    replicatorGrpc: cluster.grpc.replicator,
    mirrorData: cluster.mirrorData,
    haproxySocket: socket,
    frontend: `${LOOPBACK}:${frontendPort}`,
    instances,
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
