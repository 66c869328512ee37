/** A Kubernetes object as our checks see it: known by kind and name, its pods found wherever its kind keeps them. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

export type Manifest = JsonObject & {
  apiVersion: string;
  kind: string;
  metadata: JsonObject & { name: string; namespace?: string };
};

export type EnvironmentEntry = {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: {
    readonly fieldRef?: { readonly fieldPath: string };
    readonly configMapKeyRef?: { readonly name: string; readonly key: string };
    readonly secretKeyRef?: { readonly name: string; readonly key: string };
  };
};

export type Container = {
  readonly name: string;
  readonly image: string;
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  readonly restartPolicy?: string;
  readonly env?: readonly EnvironmentEntry[];
  readonly envFrom?: readonly { readonly configMapRef?: { readonly name: string } }[];
  readonly ports?: readonly {
    readonly name: string;
    readonly containerPort: number;
    readonly hostPort?: number;
  }[];
  readonly volumeMounts?: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly subPath?: string;
    readonly readOnly?: boolean;
  }[];
  readonly securityContext?: JsonObject;
  readonly resources?: { readonly requests?: JsonObject; readonly limits?: JsonObject };
  readonly startupProbe?: Probe;
  readonly livenessProbe?: Probe;
  readonly readinessProbe?: Probe;
};

export type Probe = {
  readonly httpGet?: { readonly path: string; readonly port: string | number };
} & JsonObject;

export type Volume = {
  readonly name: string;
  readonly secret?: {
    readonly secretName: string;
    readonly items?: readonly { readonly key: string; readonly path: string }[];
  };
  readonly configMap?: { readonly name: string };
  readonly emptyDir?: JsonObject;
  readonly hostPath?: { readonly path: string };
  readonly persistentVolumeClaim?: { readonly claimName: string };
};

export type PodSpec = JsonObject & {
  readonly containers: Container[];
  readonly initContainers?: Container[];
  readonly volumes?: Volume[];
  readonly shareProcessNamespace?: boolean;
};

export type Pod = {
  /** "Deployment balancer" */
  readonly owner: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
};

const POD_OWNERS = ["Deployment", "StatefulSet", "DaemonSet", "Job"];
/** Not in any namespace. */
export const CLUSTER_KINDS = ["Namespace", "PriorityClass"];

export function nameOf({ kind, metadata }: Manifest): string {
  return `${kind} ${metadata.name}`;
}

/** The pods that these objects make, one per kind of pod. */
export function podsOf(manifests: readonly Manifest[]): Pod[] {
  return manifests.filter(({ kind }) => POD_OWNERS.includes(kind)).map(podOf);
}

function podOf(manifest: Manifest): Pod {
  const { template } = manifest.spec as unknown as {
    template: { metadata: { labels: Record<string, string> }; spec: PodSpec };
  };
  return {
    owner: nameOf(manifest),
    kind: manifest.kind,
    name: manifest.metadata.name,
    namespace: manifest.metadata.namespace ?? "",
    labels: template.metadata.labels,
    spec: template.spec,
  };
}

export function containersOf({ spec }: Pod): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}
