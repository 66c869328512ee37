/**
 * Starts what a kustomization describes, in a sandbox on loopback: the real servers, our services and the set-up Jobs, each with
 * exactly what its manifest gives it. Images stand for the programs of this checkout.
 */

import { execFile } from "node:child_process";
import { randomInt } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { makeSecrets } from "@understudy/cli/secrets/secrets";
import { startChild } from "@understudy/testkit/child";
import { openRun, type Run } from "@understudy/testkit/run";
import { REPOSITORY } from "@understudy/testkit/run-folder";
import type { ServerName } from "@understudy/testkit/servers/names";
import { findProgram } from "@understudy/testkit/servers/program";
import { waitFor } from "@understudy/testkit/wait";
import { renderKustomization } from "./kustomize.ts";
import { type Container, type Json, type Manifest, podsOf } from "./manifest.ts";
import {
  type Cluster,
  CONFIGURATION,
  type PlacedContainer,
  type PlacedPod,
  placeContainer,
  placePods,
  portOf,
  serviceAddress,
  translateFor,
} from "./sandbox.ts";

const execute = promisify(execFile);

const READY_WITHIN_MS = 120_000;
const JOB_WITHIN_MS = 120_000;
const ASK_WITHIN_MS = 5_000;
const SERVERS: readonly ServerName[] = ["nats-server", "redis-server", "haproxy"];
const SETTING_UP = ["nats", "redis"];
const JOBS = ["streams", "apply"];
/** An image is a program of this checkout: a service, unless it is here. */
const PROGRAMS: Readonly<Record<string, string>> = { "understudy-cli": "cli/src/main.ts" };

type Program = {
  readonly file: string;
  readonly args: () => readonly string[];
  readonly env: Readonly<Record<string, string>>;
};

export type Started = {
  /** host:port behind a Service. */
  service(name: string, port: number): string;
  /** Every container that has an HTTP readiness probe, and whether that is answered 200 now. */
  readiness(): Promise<Readonly<Record<string, boolean>>>;
  /** Resolves when all of them are ready at once. */
  allReady(): Promise<void>;
  close(): Promise<void>;
};

export async function startKustomization(
  folder: string,
  options: { applications: readonly string[] },
): Promise<Started> {
  const run = openRun();
  // Short: Unix sockets are in it.
  const home = mkdtempSync(join(tmpdir(), "uk-"));
  const close = async () => {
    await run.close();
    rmSync(home, { recursive: true, force: true });
  };
  try {
    const cluster = await makeCluster(folder, home, options.applications);
    const started = await startAll(cluster, run);
    return { ...started, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function makeCluster(folder: string, home: string, applications: readonly string[]): Promise<Cluster> {
  const rendered = renderKustomization(folder);
  const made = await makeSecrets({ folder: join(home, "operator"), namespace: "understudy", applications });
  const network = `127.${randomInt(20, 250)}.${randomInt(1, 250)}`;
  const pods = podsOf(rendered).map((pod) => [pod, replicasOf(rendered, pod.owner)] as const);
  const cluster = {
    folder: home,
    manifests: rendered,
    secrets: new Map(made.map(({ metadata, stringData }) => [metadata.name, stringData])),
    pods: placePods(pods, network),
  };
  // The configuration goes over the bus, so what it says is meant for the pod that keeps instances.
  const host = cluster.pods.find(({ pod }) => pod.labels["understudy-host"] === "true")!;
  for (const { kind, data } of rendered)
    if (kind === "ConfigMap" && typeof (data as { [key: string]: Json })[CONFIGURATION] === "string") {
      const files = data as Record<string, string>;
      files[CONFIGURATION] = translateFor(cluster, host, files[CONFIGURATION]!);
    }
  return cluster;
}

function replicasOf(manifests: readonly Manifest[], owner: string): number {
  const found = manifests.find(({ kind, metadata }) => `${kind} ${metadata.name}` === owner);
  return Number((found?.spec as { replicas?: number } | undefined)?.replicas ?? 1);
}

async function startAll(cluster: Cluster, run: Run): Promise<Omit<Started, "close">> {
  const isJob = ({ pod }: PlacedPod) => pod.kind === "Job";
  const first = cluster.pods.filter(({ pod }) => SETTING_UP.includes(pod.name));
  const rest = cluster.pods.filter((each) => !first.includes(each) && !isJob(each));
  await Promise.all(first.map((placed) => startPod(cluster, placed, run)));
  await runJob(cluster, JOBS[0]!);
  await Promise.all(rest.map((placed) => startPod(cluster, placed, run)));
  await runJob(cluster, JOBS[1]!);
  const probes = rest.flatMap((placed) =>
    placed.pod.spec.containers.flatMap((container) => probeOf(placed, container)),
  );
  const readiness = async () =>
    Object.fromEntries(
      await Promise.all(probes.map(async ({ name, url }) => [name, await answers(url)] as const)),
    );
  return {
    service: (name, port) => serviceAddress(cluster, name, port),
    readiness,
    allReady: () =>
      waitFor(async () => Object.values(await readiness()).every(Boolean), {
        withinMs: READY_WITHIN_MS,
        everyMs: 200,
        what: "readiness of every container",
      }).then(() => undefined),
  };
}

function probeOf(placed: PlacedPod, container: Container): { name: string; url: string }[] {
  const probe = container.readinessProbe?.httpGet;
  if (!probe) return [];
  const name = `${placed.name}/${container.name}`;
  return [{ name, url: `http://${placed.address}:${portOf(placed.pod, probe.port)}${probe.path}` }];
}

async function answers(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(ASK_WITHIN_MS) });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}

async function startPod(cluster: Cluster, placed: PlacedPod, run: Run): Promise<void> {
  const containers = placed.pod.spec.containers.map((each) => placeContainer(cluster, placed, each));
  await Promise.all(containers.map((each) => startContainer(placed, each, run)));
}

async function startContainer(placed: PlacedPod, placedContainer: PlacedContainer, run: Run): Promise<void> {
  const { container, env } = placedContainer;
  const folder = join(run.folder, `${placed.name}.${placedContainer.name}`);
  mkdirSync(folder, { recursive: true });
  const program = await programOf(placedContainer);
  const startup = container.startupProbe?.httpGet;
  const url = startup && `http://${placed.address}:${portOf(placed.pod, startup.port)}${startup.path}`;
  await startChild(run, {
    name: placedContainer.name,
    folder,
    cwd: REPOSITORY,
    ...program,
    env: { ...program.env, ...env },
    readyWithinMs: READY_WITHIN_MS,
    // A probe by connection or by program is answered by whatever needs the server next.
    isReady: async () => (url ? answers(url) : true),
  });
}

/** What the image of a container would start. */
async function programOf({ image, command }: PlacedContainer): Promise<Program> {
  const server = SERVERS.find((each) => each === command[0]);
  if (server) {
    const program = await findProgram(server);
    if (program.how === "docker") throw new Error(`${server}: only as a program of this machine`);
    return { file: program.file, args: () => command.slice(1), env: program.env };
  }
  const name = image.split("/").at(-1)!.split(":")[0]!;
  const main = PROGRAMS[name] ?? `services/${name.replace(/^understudy-/, "")}/src/main.ts`;
  // The image's node, also for what a resource's command starts.
  const env = { PATH: `${join(REPOSITORY, "node_modules/.bin")}:${process.env.PATH}` };
  return { file: process.execPath, args: () => [join(REPOSITORY, main), ...command], env };
}

/** To its end; throws with its output when that is not success. */
async function runJob(cluster: Cluster, name: string): Promise<void> {
  const placed = cluster.pods.find(({ pod }) => pod.owner === `Job ${name}`);
  if (!placed) throw new Error(`no Job ${name}`);
  const container = placeContainer(cluster, placed, placed.pod.spec.containers[0]!);
  const { file, args, env } = await programOf(container);
  await execute(file, args(), {
    cwd: REPOSITORY,
    env: { ...env, ...container.env },
    timeout: JOB_WITHIN_MS,
  });
}
