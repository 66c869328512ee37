/**
 * What the benches of containers stand on: the engine of this machine, a whole cluster whose replicator uses it, one HAProxy
 * pool, and what the services say about one resource. Everything made goes with `close`, whoever made it.
 */

import { join } from "node:path";
import type { Bus } from "@understudy/bus/bus";
import { connectJetStream } from "@understudy/bus/jetstream";
import { nothingObserved, type Observed, watchCluster } from "@understudy/cli/demo/observe";
import { primaryNow, rolesNow } from "@understudy/cli/demo/stack";
import type { Instance } from "@understudy/model/instance";
import { type Engine, openEngine } from "@understudy/resource/docker-engine";
import { type Cluster, startCluster } from "@understudy/testkit/cluster";
import { type ContainerStage, openContainerStage } from "@understudy/testkit/container-stage";
import { NOISE_SHARE_MAX, startNoise } from "@understudy/testkit/noise";
import { freePort } from "@understudy/testkit/ports";
import { openRun, type Run } from "@understudy/testkit/run";
import { startHaproxy } from "@understudy/testkit/servers/haproxy";
import { waitFor } from "@understudy/testkit/wait";
import { haproxyFiles, renderHaproxyConfig } from "@understudy/traffic/haproxy/config";
import { stringify } from "yaml";

const LOOPBACK = "127.0.0.1";
export const POOL = "web";
const SOCKET = "admin.sock";
const SLOTS = 6;
const BACKENDS = { reads: "reads", writes: "writes" };
const IN_SYNC_WITHIN_MS = 120_000;
const LOAD_MAX = 6;

export type ContainerCluster = {
  readonly owner: Run;
  readonly stage: ContainerStage;
  readonly engine: Engine;
  readonly cluster: Cluster;
  /** http://host:port of the pool. */
  readonly url: string;
  /** Everything said about this resource from now on. */
  watch(resource: string): Observed;
  /** Puts exactly these resources in force. */
  apply(resources: readonly unknown[]): Promise<void>;
};

/** Runs `work` on it and removes everything. Throws TestkitError with the remedy where there is no engine. */
export async function withContainerCluster<T>(
  work: (on: ContainerCluster) => Promise<T>,
  { healthPath }: { readonly healthPath: string },
): Promise<T> {
  const owner = openRun();
  const stop = new AbortController();
  let [cluster, bus]: [Cluster | undefined, Bus | undefined] = [undefined, undefined];
  try {
    const stage = await openContainerStage(owner);
    const port = await freePort();
    const socket = await startPool(owner, { port, healthPath });
    const env = { replicator: { UNDERSTUDY_DOCKER_SOCKET: stage.socket } };
    cluster = await startCluster({ run: owner, replicatorAddress: stage.gateway, logLevel: "warn", env });
    bus = await connectJetStream({ ...cluster.access("cli"), name: "bench" });
    const { apply, host, grpc, mirrorData } = cluster;
    const pools = [{ name: POOL, socket, backends: BACKENDS, slots: SLOTS, frontend: `${LOOPBACK}:${port}` }];
    const hosts = [{ name: host, control: grpc.replicator, data: mirrorData }];
    const following = bus;
    return await work({
      owner,
      stage,
      cluster,
      engine: openEngine(stage.socket),
      url: `http://${LOOPBACK}:${port}`,
      watch: (resource) => {
        const observed = nothingObserved();
        void watchCluster(following, { resource, observed, signal: stop.signal });
        return observed;
      },
      apply: (resources) => apply(stringify({ resources, pools, hosts })),
    });
  } finally {
    stop.abort();
    await bus?.close();
    await cluster?.close();
    await owner.close();
  }
}

async function startPool(
  owner: Run,
  { port, healthPath }: { port: number; healthPath: string },
): Promise<string> {
  let socket = "";
  await startHaproxy({
    run: owner,
    socket: SOCKET,
    files: haproxyFiles(POOL),
    config: (dir) => {
      socket = join(dir, SOCKET);
      const pool = { name: POOL, socket, backends: BACKENDS, slots: SLOTS, frontend: `${LOOPBACK}:${port}` };
      return renderHaproxyConfig({ dir, pool, healthPath });
    },
  });
  return socket;
}

/** A shadow that serves and is in sync, beside a primary that serves; undefined when there is none. */
export function shadowInSync(observed: Observed): Instance | undefined {
  if (!primaryNow(observed)) return undefined;
  return rolesNow(observed)?.instances.find(
    ({ role, phase, name, address }) =>
      role === "shadow" &&
      phase === "serving" &&
      address !== "" &&
      observed.mirrored.get(name)?.inSync === true,
  );
}

export function waitForShadow(observed: Observed): Promise<Instance> {
  return waitFor(() => shadowInSync(observed), {
    withinMs: IN_SYNC_WITHIN_MS,
    everyMs: 5,
    what: "a serving shadow in sync",
  });
}

/** Others on this machine, for the result; the load counts our own processes as well, so it says more than it should. */
export function watchNoise(): () => { noise: { stealShare: number; load1: number }; valid: boolean } {
  const noise = startNoise();
  return () => {
    const { stealShare, load1 } = noise();
    return { noise: { stealShare, load1 }, valid: stealShare <= NOISE_SHARE_MAX && load1 <= LOAD_MAX };
  };
}

/** Nearest rank, in tenths of a ms. */
export function rankOf(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round((sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? Number.NaN) * 10) / 10;
}
