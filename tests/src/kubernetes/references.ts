/** Names in manifests that lead nowhere, which a cluster would accept and wait for without an end. */

import {
  type Container,
  containersOf,
  type Manifest,
  nameOf,
  type Pod,
  type Probe,
  podsOf,
} from "./manifest.ts";
import { matches } from "./sandbox.ts";

type Selector = { readonly matchLabels?: Readonly<Record<string, string>> };
type ServiceSpec = {
  readonly selector: Readonly<Record<string, string>>;
  readonly publishNotReadyAddresses?: boolean;
  readonly ports: readonly { readonly name: string; readonly targetPort: string }[];
};

export function checkReferences(manifests: readonly Manifest[]): string[] {
  const pods = podsOf(manifests);
  return [
    ...pods.flatMap((pod) => podReferences(pod, manifests).map((problem) => `${pod.owner}: ${problem}`)),
    ...manifests.flatMap((manifest) =>
      selected(manifest, pods).map((problem) => `${nameOf(manifest)}: ${problem}`),
    ),
    ...pods.flatMap((pod) => guarded(pod, manifests).map((problem) => `${pod.owner}: ${problem}`)),
  ];
}

function podReferences(pod: Pod, manifests: readonly Manifest[]): string[] {
  const { spec, namespace } = pod;
  const isThere = (kind: string, name: unknown) =>
    manifests.some(
      (each) => each.kind === kind && each.metadata.name === name && each.metadata.namespace === namespace,
    );
  const wanted: [string, unknown][] = [["ServiceAccount", spec.serviceAccountName]];
  for (const { configMap, persistentVolumeClaim } of spec.volumes ?? []) {
    if (configMap) wanted.push(["ConfigMap", configMap.name]);
    if (persistentVolumeClaim) wanted.push(["PersistentVolumeClaim", persistentVolumeClaim.claimName]);
  }
  for (const { envFrom = [] } of containersOf(pod))
    for (const { configMapRef } of envFrom) wanted.push(["ConfigMap", configMapRef?.name]);
  const { priorityClassName } = spec;
  const isClass = manifests.some(
    ({ kind, metadata }) => kind === "PriorityClass" && metadata.name === priorityClassName,
  );
  return [
    ...wanted
      .filter(([kind, name]) => !isThere(kind, name))
      .map(([kind, name]) => `there is no ${kind} ${String(name)}`),
    ...(priorityClassName === undefined || isClass || namespace !== "understudy"
      ? []
      : [`no PriorityClass ${String(priorityClassName)}`]),
    ...mounts(pod, manifests),
    ...containersOf(pod).flatMap(probePorts),
  ];
}

function mounts(pod: Pod, manifests: readonly Manifest[]): string[] {
  const owner = manifests.find((manifest) => nameOf(manifest) === pod.owner);
  const { volumeClaimTemplates = [] } = (owner?.spec ?? {}) as { volumeClaimTemplates?: Manifest[] };
  const volumes = [
    ...(pod.spec.volumes ?? []).map(({ name }) => name),
    ...volumeClaimTemplates.map(({ metadata }) => metadata.name),
  ];
  const mounted = containersOf(pod).flatMap(({ volumeMounts = [] }) => volumeMounts);
  const readOnly = (pod.spec.volumes ?? []).filter(
    ({ secret, configMap, hostPath }) => secret || configMap || hostPath,
  );
  return [
    ...mounted.filter(({ name }) => !volumes.includes(name)).map(({ name }) => `no volume ${name} to mount`),
    ...volumes
      .filter((name) => !mounted.some((mount) => mount.name === name))
      .map((name) => `nobody mounts volume ${name}`),
    ...mounted
      .filter(({ name, readOnly: only }) => readOnly.some((volume) => volume.name === name) && only !== true)
      .map(({ name }) => `${name} is not mounted read only`),
  ];
}

function probePorts({ name, ports = [], ...container }: Container): string[] {
  const used = (["startupProbe", "livenessProbe", "readinessProbe"] as const).flatMap((kind) => {
    const { httpGet, tcpSocket } = (container[kind] ?? {}) as Probe & { tcpSocket?: { port: string } };
    const port = httpGet?.port ?? tcpSocket?.port;
    return port === undefined ? [] : [port];
  });
  return used
    .filter((port) => !ports.some((each) => each.name === port))
    .map((port) => `${name}: a probe asks at no port of its: ${port}`);
}

/** What selects pods must select some, and a Service must find its ports there. */
function selected({ kind, metadata, spec }: Manifest, pods: readonly Pod[]): string[] {
  const here = pods.filter(({ namespace }) => namespace === metadata.namespace);
  if (kind === "Service") return servicePorts(spec as unknown as ServiceSpec, here);
  const selectors: Record<string, Selector | undefined> = {
    PodDisruptionBudget: (spec as { selector?: Selector } | undefined)?.selector,
    NetworkPolicy: (spec as { podSelector?: Selector } | undefined)?.podSelector,
  };
  const labels = selectors[kind]?.matchLabels;
  return labels && !here.some((pod) => matches(pod.labels, labels)) ? ["selects nothing"] : [];
}

function servicePorts(
  { selector, ports, publishNotReadyAddresses }: ServiceSpec,
  pods: readonly Pod[],
): string[] {
  const found = pods.filter(({ labels }) => matches(labels, selector));
  if (found.length !== 1) return [`selects ${found.length} kinds of pods`];
  const open = found[0]!.spec.containers.flatMap(({ ports = [] }) => ports.map(({ name }) => name));
  const speaksGrpc = ports.some(({ targetPort }) => targetPort.endsWith("grpc"));
  return [
    ...ports
      .filter(({ targetPort }) => !open.includes(targetPort))
      .map(({ targetPort }) => `no port ${targetPort} there`),
    // A replicator without a serving primary is not ready, and a failover needs it then.
    ...(speaksGrpc && publishNotReadyAddresses !== true ? ["its gRPC is away while it is not ready"] : []),
  ];
}

/** Whatever runs for long may be drained only as its budget says, and talks only as a policy of its own says. */
function guarded({ kind, labels, namespace }: Pod, manifests: readonly Manifest[]): string[] {
  const covers = (wanted: string, selector: (spec: never) => Selector | undefined) =>
    manifests.some((each) => {
      const chosen =
        each.kind === wanted && each.metadata.namespace === namespace
          ? selector(each.spec as never)?.matchLabels
          : undefined;
      return (
        chosen !== undefined &&
        Object.keys(chosen).includes("app.kubernetes.io/name") &&
        matches(labels, chosen)
      );
    });
  const isLasting = kind === "Deployment" || kind === "StatefulSet";
  const denied = manifests.some(
    ({ kind, metadata, spec }) =>
      kind === "NetworkPolicy" &&
      metadata.namespace === namespace &&
      JSON.stringify((spec as { podSelector?: unknown }).podSelector) === "{}" &&
      JSON.stringify((spec as { policyTypes?: unknown }).policyTypes) === '["Ingress","Egress"]',
  );
  return [
    ...(isLasting && !covers("PodDisruptionBudget", ({ selector }: { selector: Selector }) => selector)
      ? ["has no PodDisruptionBudget"]
      : []),
    ...(covers("NetworkPolicy", ({ podSelector }: { podSelector: Selector }) => podSelector)
      ? []
      : ["has no NetworkPolicy of its own"]),
    ...(denied ? [] : [`nothing denies in namespace ${namespace}`]),
  ];
}
