/**
 * What our manifests promise beyond their schemas: nothing runs as root or from an image that may change, everything has limits
 * and probes, names lead somewhere. One function per rule; the few exceptions are listed with their reason, and one that
 * nothing needs any more is a mistake itself.
 */

import {
  CLUSTER_KINDS,
  type Container,
  containersOf,
  type JsonObject,
  type Manifest,
  nameOf,
  type Pod,
  podsOf,
} from "./manifest.ts";
import { checkReferences } from "./references.ts";

export type Exception = { readonly owner: string; readonly rule: RuleName; readonly because: string };

export const EXCEPTIONS: readonly Exception[] = [
  {
    owner: "understudy-node/DaemonSet collector",
    rule: "nothing of the node",
    because: "it reads /proc and the control groups of the node's processes, read only (docs/adr/0014)",
  },
  {
    owner: "understudy-node/DaemonSet collector",
    rule: "restricted namespace",
    because: "hostPID and hostPath are refused below the level privileged (docs/adr/0014)",
  },
];

const VOLUMES = ["configMap", "secret", "emptyDir", "persistentVolumeClaim"];
const SECRET_NAME = /PASSWORD|TOKEN|KEY$/;

type Context = { readonly manifests: readonly Manifest[] };
type Rule = (pod: Pod, context: Context) => readonly string[];

const RULES = {
  "fixed image": (pod) => each(pod, ({ image }) => (isFixed(image) ? [] : [`image ${image} may change`])),
  "never root": ({ spec }) => {
    const { runAsNonRoot, runAsUser, runAsGroup, fsGroup } = (spec.securityContext ?? {}) as JsonObject;
    const ids = [runAsUser, runAsGroup, fsGroup];
    if (runAsNonRoot !== true) return ["runAsNonRoot is not true"];
    return ids.every((id) => Number.isInteger(id) && Number(id) > 0)
      ? []
      : ["user, group and fsGroup are not all set"];
  },
  seccomp: ({ spec }) => {
    const { seccompProfile } = (spec.securityContext ?? {}) as { seccompProfile?: { type?: string } };
    return seccompProfile?.type === "RuntimeDefault" ? [] : ["its seccomp profile is not RuntimeDefault"];
  },
  "no privilege": (pod) => each(pod, privileges),
  "read-only root": (pod) =>
    each(pod, ({ securityContext }) =>
      securityContext?.readOnlyRootFilesystem === true ? [] : ["its root file system can be written"],
    ),
  limits: (pod) => each(pod, limits),
  probes: (pod) => (pod.kind === "Job" ? [] : each(pod, probes)),
  "nothing of the node": ({ spec }) => [
    ...["hostPID", "hostIPC", "hostNetwork"]
      .filter((key) => spec[key] !== undefined)
      .map((key) => `it has ${key}`),
    ...(spec.volumes ?? [])
      .filter((volume) => !VOLUMES.some((kind) => kind in volume))
      .map(({ name }) => `volume ${name} is of the node`),
    ...spec.containers.flatMap(({ ports = [] }) =>
      ports.filter(({ hostPort }) => hostPort).map(({ name }) => `port ${name} is the node's`),
    ),
  ],
  "no token": ({ spec }) =>
    spec.automountServiceAccountToken === false && typeof spec.serviceAccountName === "string"
      ? []
      : ["it has a token of the API, which none of ours speaks to, or the default account"],
  "no secret in the environment": (pod) =>
    each(pod, ({ env = [] }) =>
      env
        .filter(
          ({ name, valueFrom }) =>
            valueFrom?.secretKeyRef || (SECRET_NAME.test(name) && !name.endsWith("_FILE")),
        )
        .map(({ name }) => `${name}: secrets are files`),
    ),
  "bounded scratch": ({ spec }) =>
    (spec.volumes ?? [])
      .filter(({ emptyDir }) => emptyDir && emptyDir.sizeLimit === undefined)
      .map(({ name }) => `emptyDir ${name} has no sizeLimit`),
  "restricted namespace": ({ namespace }, { manifests }) => {
    const found = manifests.find(({ kind, metadata }) => kind === "Namespace" && metadata.name === namespace);
    const labels = (found?.metadata.labels ?? {}) as Record<string, string>;
    return labels["pod-security.kubernetes.io/enforce"] === "restricted"
      ? []
      : [`namespace ${namespace} does not enforce "restricted"`];
  },
  "one host, one process namespace": oneHost,
} satisfies Record<string, Rule>;

export type RuleName = keyof typeof RULES;

/** All that is wrong; `needed` collects the exceptions that were made. */
export function checkPolicies(manifests: readonly Manifest[], needed: Set<Exception> = new Set()): string[] {
  const pods = podsOf(manifests);
  const found = pods.flatMap((pod) =>
    (Object.entries(RULES) as [RuleName, Rule][]).flatMap(([rule, check]) => {
      const problems = check(pod, { manifests });
      const owner = `${pod.namespace}/${pod.owner}`;
      const exception = EXCEPTIONS.find((each) => each.owner === owner && each.rule === rule);
      if (exception && problems.length > 0) needed.add(exception);
      return exception ? [] : problems.map((problem) => `${owner}: ${rule}: ${problem}`);
    }),
  );
  return [
    ...found,
    ...namespaces(manifests),
    ...rights(manifests),
    ...hostNames(pods),
    ...checkReferences(manifests),
  ];
}

function each(pod: Pod, check: (container: Container) => readonly string[]): string[] {
  return containersOf(pod).flatMap((container) =>
    check(container).map((problem) => `${container.name}: ${problem}`),
  );
}

function isFixed(image: string): boolean {
  const tag = /:([^/:]+)$/.exec(image)?.[1];
  return /@sha256:[0-9a-f]{64}$/.test(image) || (tag !== undefined && tag !== "latest");
}

function privileges({ securityContext = {} }: Container): string[] {
  const { allowPrivilegeEscalation, privileged, runAsUser, capabilities } = securityContext;
  const { drop, add, ...others } = (capabilities ?? {}) as { drop?: string[]; add?: string[] };
  const problems: string[] = [];
  if (allowPrivilegeEscalation !== false) problems.push("it may gain privileges");
  if (privileged !== undefined || runAsUser !== undefined)
    problems.push("it sets privileged or a user of its own");
  if (drop?.join() !== "ALL" || add !== undefined || Object.keys(others).length > 0)
    problems.push("it does not drop all capabilities");
  return problems;
}

function limits({ resources = {} }: Container): string[] {
  return (["requests", "limits"] as const).flatMap((kind) =>
    ["cpu", "memory"]
      .filter((what) => resources[kind]?.[what] === undefined)
      .map((what) => `no ${kind} of ${what}`),
  );
}

function probes(container: Container): string[] {
  const kinds = ["startupProbe", "livenessProbe", "readinessProbe"] as const;
  return kinds.filter((kind) => container[kind] === undefined).map((kind) => `no ${kind}`);
}

/** Who has the name of a host looks for its processes in /proc, and takes those it does not find for dead. */
function oneHost({ spec }: Pod): string[] {
  const names = spec.containers.map(hostOf).filter((name) => name !== undefined);
  const shared = new Set(names).size < names.length;
  return shared && spec.shareProcessNamespace !== true
    ? ["containers share a host's name and not its processes"]
    : [];
}

function hostOf({ env = [] }: Container): string | undefined {
  const entry = env.find(({ name }) => name === "UNDERSTUDY_HOST");
  return entry && (entry.value ?? entry.valueFrom?.fieldRef?.fieldPath);
}

/** metadata.name and spec.nodeName are other names in each pod. */
function hostNames(pods: readonly Pod[]): string[] {
  const owners = new Map<string, string[]>();
  for (const { owner, spec } of pods)
    for (const name of new Set(
      spec.containers.flatMap(
        ({ env = [] }) => env.find(({ name }) => name === "UNDERSTUDY_HOST")?.value ?? [],
      ),
    ))
      owners.set(name, [...(owners.get(name) ?? []), owner]);
  return [...owners]
    .filter(([, all]) => all.length > 1)
    .map(([name, all]) => `${all.join(" and ")}: both are host ${name}`);
}

function namespaces(manifests: readonly Manifest[]): string[] {
  return manifests
    .filter(({ kind, metadata }) => !CLUSTER_KINDS.includes(kind) && !metadata.namespace)
    .map((manifest) => `${nameOf(manifest)}: in no namespace`);
}

/** None of ours asks the API for anything, so nobody has a right to anything there. */
function rights(manifests: readonly Manifest[]): string[] {
  return manifests
    .filter(({ apiVersion }) => apiVersion.startsWith("rbac.authorization.k8s.io/"))
    .map((manifest) => `${nameOf(manifest)}: nobody here needs a right to the API`);
}
