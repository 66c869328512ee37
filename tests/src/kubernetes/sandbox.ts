/**
 * A pod without a cluster: its volumes as folders, its network as a loopback address of its own, and each container's
 * environment, arguments and files as its manifest gives them, with nothing changed but where paths, addresses and names of
 * Services lead. What a manifest forgets is then missing here as it would be in a cluster.
 */

import { copyFileSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Container, Manifest, Pod, Volume } from "./manifest.ts";

/** In the ConfigMap that the Job "apply" puts in force. */
export const CONFIGURATION = "understudy.yaml";

export type Cluster = {
  readonly folder: string;
  readonly manifests: readonly Manifest[];
  /** Those that `understudy secrets` made. */
  readonly secrets: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly pods: readonly PlacedPod[];
};

/** One pod of a kind of pods. */
export type PlacedPod = { readonly pod: Pod; readonly name: string; readonly address: string };

export type PlacedContainer = {
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly container: Container;
  /** What is at a path inside the container. */
  path(inside: string): string;
};

/** One pod per replica, each at its own address below `network`, such as "127.20.7". */
export function placePods(
  pods: readonly (readonly [pod: Pod, replicas: number])[],
  network: string,
): PlacedPod[] {
  const named = pods.flatMap(([pod, replicas]) =>
    Array.from({ length: replicas }, (_, index) => ({ pod, name: podName(pod, index) })),
  );
  return named.map((each, index) => ({ ...each, address: `${network}.${index + 1}` }));
}

function podName({ kind, name }: Pod, index: number): string {
  return kind === "StatefulSet" ? `${name}-${index}` : `${name}-6d5f7c9b84-x2x7q`;
}

/** Makes the folders and files of one container. */
export function placeContainer(cluster: Cluster, placed: PlacedPod, container: Container): PlacedContainer {
  const pods = join(cluster.folder, String(cluster.pods.indexOf(placed)));
  const root = join(pods, `c${placed.pod.spec.containers.indexOf(container)}`);
  const mounts = [...(container.volumeMounts ?? [])].sort((a, b) => a.mountPath.length - b.mountPath.length);
  const path = (inside: string) => join(root, inside);
  const rooted = mounts.map(({ mountPath }) => [mountPath, path(mountPath)] as const);
  const translate = (text: string) => translated(text, { cluster, placed, mounts: new Map(rooted) });
  // Of no container: the configuration travels to others by the bus, and a key is a key.
  const translateFile = (file: string, text: string) =>
    file === CONFIGURATION || text.startsWith("-----BEGIN") ? text : translate(text);
  for (const { name, mountPath, subPath } of mounts) {
    const volume = placed.pod.spec.volumes?.find((each) => each.name === name);
    const files = volume && filesOf(cluster, volume);
    // What begins empty is the pod's; files are written for each container, whose paths they may name.
    const folder = files ? `${root}-${name}` : join(pods, `v-${name}`);
    mkdirSync(folder, { recursive: true });
    for (const [file, text] of Object.entries(files ?? {}))
      writeFileSync(join(folder, file), translateFile(file, text));
    mkdirSync(dirname(path(mountPath)), { recursive: true });
    if (subPath === undefined) symlinkSync(folder, path(mountPath));
    else if (files?.[subPath] === undefined)
      throw new Error(`${container.name}: no ${subPath} in volume ${name}`);
    else copyFileSync(join(folder, subPath), path(mountPath));
  }
  const env = Object.fromEntries(
    Object.entries(environmentOf(cluster, placed, container)).map(([key, value]) => [key, translate(value)]),
  );
  const command = [...(container.command ?? []), ...(container.args ?? [])].map(translate);
  return { name: container.name, image: container.image, command, env, container, path };
}

/** Of a Secret or ConfigMap, as it would be mounted; undefined for a volume that begins empty. */
function filesOf({ manifests, secrets }: Cluster, volume: Volume): Record<string, string> | undefined {
  if (volume.secret) {
    const data = secrets.get(volume.secret.secretName);
    if (!data) throw new Error(`no Secret ${volume.secret.secretName}`);
    const { items } = volume.secret;
    return items ? Object.fromEntries(items.map(({ key, path }) => [path, wanted(data, key)])) : { ...data };
  }
  return volume.configMap && { ...configMap(manifests, volume.configMap.name) };
}

function configMap(manifests: readonly Manifest[], name: string): Record<string, string> {
  const found = manifests.find(({ kind, metadata }) => kind === "ConfigMap" && metadata.name === name);
  if (!found) throw new Error(`no ConfigMap ${name}`);
  return found.data as Record<string, string>;
}

function wanted(data: Readonly<Record<string, string>>, key: string): string {
  const value = data[key];
  if (value === undefined) throw new Error(`no key ${key}: there are ${Object.keys(data).join(", ")}`);
  return value;
}

function environmentOf(cluster: Cluster, placed: PlacedPod, { env = [], envFrom = [] }: Container) {
  const shared = envFrom.map(({ configMapRef }) => configMap(cluster.manifests, configMapRef!.name));
  const own = env.map(({ name, value, valueFrom }) => [
    name,
    value ?? fieldOf(placed, valueFrom?.fieldRef?.fieldPath),
  ]);
  return { ...Object.assign({}, ...shared), ...Object.fromEntries(own) } as Record<string, string>;
}

function fieldOf({ name, address }: PlacedPod, path: string | undefined): string {
  if (path === "metadata.name") return name;
  if (path === "status.podIP") return address;
  if (path === "spec.nodeName") return "node-a";
  throw new Error(`a pod has no field ${path}`);
}

type Place = {
  readonly cluster: Cluster;
  readonly placed: PlacedPod;
  /** Path inside a container -> path here. */
  readonly mounts: ReadonlyMap<string, string>;
};

/** Paths of mounts, addresses of the pod itself, and names of Services. */
function translated(text: string, { cluster, placed, mounts }: Place): string {
  const paths = [...mounts.keys()].map((mountPath) => mountPath.replace(/[.]/g, "\\."));
  const isPath =
    paths.length > 0 ? new RegExp(`(?<![\\w/.-])(?:${paths.join("|")})(?![\\w-])`, "g") : undefined;
  const inside = isPath ? text.replace(isPath, (found) => mounts.get(found)!) : text;
  return listenAt(placed.address, inside)
    .replace(/\b(?:0\.0\.0\.0|127\.0\.0\.1):/g, `${placed.address}:`)
    .replace(/\b([a-z][a-z0-9-]*)\.[a-z][a-z0-9-]*\.svc:(\d+)/g, (_, service, port) =>
      serviceAddress(cluster, service, Number(port)),
    )
    .replace(
      /\b([a-z][a-z0-9-]*-\d)\.[a-z][a-z0-9-]*:(\d+)/g,
      (_, pod, port) => `${addressOf(cluster, pod)}:${port}`,
    );
}

/** Servers are told a port alone, and take it on every address of their pod. */
function listenAt(address: string, text: string): string {
  return text
    .replace(/^(\s*)port: (\d+)$/gm, `$1listen: "${address}:$2"`)
    .replace(/^http_port: (\d+)$/gm, `http: "${address}:$1"`)
    .replace(/^port (\d+)$/gm, `port $1\nbind ${address}`)
    .replace(/\bbind \*:/g, `bind ${address}:`);
}

/** A text as the containers of a pod would see it, each path as the first of them that has it: for what travels to them by the bus. */
export function translateFor(cluster: Cluster, placed: PlacedPod, text: string): string {
  const pods = join(cluster.folder, String(cluster.pods.indexOf(placed)));
  const mounts = new Map<string, string>();
  for (const [index, { volumeMounts = [] }] of placed.pod.spec.containers.entries())
    for (const { mountPath } of volumeMounts)
      if (!mounts.has(mountPath)) mounts.set(mountPath, join(pods, `c${index}`, mountPath));
  return translated(text, { cluster, placed, mounts });
}

function addressOf({ pods }: Cluster, name: string): string {
  const found = pods.find((each) => each.name === name);
  // As a DNS name that nobody has: a port that nobody listens at.
  return found?.address ?? "127.0.0.1";
}

/** Where a Service leads: the pod that its selector finds, at the container's port that it targets. */
export function serviceAddress(cluster: Cluster, name: string, port: number): string {
  const service = cluster.manifests.find(
    ({ kind, metadata }) => kind === "Service" && metadata.name === name,
  );
  if (!service) throw new Error(`no Service ${name}`);
  const { selector, ports } = service.spec as unknown as {
    selector: Record<string, string>;
    ports: { port: number; targetPort: string | number }[];
  };
  const placed = cluster.pods.find(({ pod }) => matches(pod.labels, selector));
  const target = ports.find((each) => each.port === port)?.targetPort;
  if (!placed || target === undefined) throw new Error(`Service ${name} leads nowhere at port ${port}`);
  return `${placed.address}:${portOf(placed.pod, target)}`;
}

export function matches(
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>>,
): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

export function portOf({ owner, spec }: Pod, target: string | number): number {
  const ports = spec.containers.flatMap((container) => container.ports ?? []);
  const found = ports.find(({ name, containerPort }) => name === target || containerPort === target);
  if (!found) throw new Error(`${owner} has no port ${target}`);
  return found.containerPort;
}
