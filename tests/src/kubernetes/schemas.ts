/**
 * Whether an object is what its kind's schema says, and nothing more. The validators that are compiled from Kubernetes' own
 * schemas (kubernetes-models) let unknown keys pass, as the API server does without strict validation. But they read
 * every key that a schema names and no other; so they are given an object that remembers what was read of it, and
 * what nobody read is unknown.
 */

import { type Json, type Manifest, nameOf } from "./manifest.ts";

type Problem = { readonly instancePath: string; readonly keyword: string; readonly params: object };
type Validator = ((value: unknown) => boolean) & { errors?: readonly Problem[] | null };
type SchemaModule = { readonly validate: Validator };

/** Every kind that our manifests may use, and where its validator is; a kind that is not here is refused. */
const SCHEMAS: Readonly<Record<string, readonly [packageName: string, schema: string]>> = {
  "v1 Namespace": ["kubernetes-models", "IoK8sApiCoreV1Namespace"],
  "v1 ConfigMap": ["kubernetes-models", "IoK8sApiCoreV1ConfigMap"],
  "v1 Secret": ["kubernetes-models", "IoK8sApiCoreV1Secret"],
  "v1 Service": ["kubernetes-models", "IoK8sApiCoreV1Service"],
  "v1 ServiceAccount": ["kubernetes-models", "IoK8sApiCoreV1ServiceAccount"],
  "v1 PersistentVolumeClaim": ["kubernetes-models", "IoK8sApiCoreV1PersistentVolumeClaim"],
  "apps/v1 Deployment": ["kubernetes-models", "IoK8sApiAppsV1Deployment"],
  "apps/v1 StatefulSet": ["kubernetes-models", "IoK8sApiAppsV1StatefulSet"],
  "apps/v1 DaemonSet": ["kubernetes-models", "IoK8sApiAppsV1DaemonSet"],
  "batch/v1 Job": ["kubernetes-models", "IoK8sApiBatchV1Job"],
  "networking.k8s.io/v1 NetworkPolicy": ["kubernetes-models", "IoK8sApiNetworkingV1NetworkPolicy"],
  "policy/v1 PodDisruptionBudget": ["kubernetes-models", "IoK8sApiPolicyV1PodDisruptionBudget"],
  "scheduling.k8s.io/v1 PriorityClass": ["kubernetes-models", "IoK8sApiSchedulingV1PriorityClass"],
  "gateway.networking.k8s.io/v1 HTTPRoute": [
    "@kubernetes-models/gateway-api",
    "IoK8sSigsGatewayApiApisV1HTTPRoute",
  ],
  "cert-manager.io/v1 Certificate": [
    "@kubernetes-models/cert-manager",
    "ComGithubCertManagerCertManagerPkgApisCertmanagerV1Certificate",
  ],
  "cert-manager.io/v1 Issuer": [
    "@kubernetes-models/cert-manager",
    "ComGithubCertManagerCertManagerPkgApisCertmanagerV1Issuer",
  ],
};

/** By its file: the packages export their model classes, which copy what they check and so read all of it. */
async function validatorOf([packageName, schema]: readonly [string, string]): Promise<Validator> {
  const manifest = import.meta.resolve(`${packageName}/package.json`);
  const { validate } = (await import(new URL(`_schemas/${schema}.js`, manifest).href)) as SchemaModule;
  return validate;
}

/** All that is wrong with it; nothing when it is good. */
export async function checkSchema(manifest: Manifest): Promise<string[]> {
  const schema = SCHEMAS[`${manifest.apiVersion} ${manifest.kind}`];
  if (!schema) return [`${nameOf(manifest)}: no schema for ${manifest.apiVersion} ${manifest.kind}`];
  const validate = await validatorOf(schema);
  const { watched, unread } = watchReads(manifest);
  const problems = validate(watched) ? [] : (validate.errors ?? []);
  return [
    ...problems.map(
      ({ instancePath, keyword, params }) =>
        `${instancePath || "/"} breaks "${keyword}" ${JSON.stringify(params)}`,
    ),
    ...unread().map((path) => `${path} is no field of it`),
  ].map((problem) => `${nameOf(manifest)}: ${problem}`);
}

/** A view of `root` that looks the same, and the paths of all keys that were never read through it. */
function watchReads(root: Json): { watched: Json; unread(): string[] } {
  const read = new WeakMap<object, Set<string>>();
  const views = new WeakMap<object, Json>();
  function view(value: Json): Json {
    if (value === null || typeof value !== "object") return value;
    const known = views.get(value);
    if (known !== undefined) return known;
    const keys = new Set<string>();
    read.set(value, keys);
    const watched = new Proxy(value, {
      get: (target, key) => {
        const inner = Reflect.get(target, key) as Json;
        if (typeof key === "symbol" || typeof inner === "function") return inner;
        keys.add(key);
        return view(inner);
      },
    }) as Json;
    views.set(value, watched);
    return watched;
  }
  function unreadOf(value: Json, path: string): string[] {
    if (value === null || typeof value !== "object") return [];
    const keys = read.get(value);
    // Reached by nobody's schema as a whole: an object of which nothing is said.
    return Object.entries(value).flatMap(([key, inner]) =>
      keys?.has(key) ? unreadOf(inner, `${path}/${key}`) : [`${path}/${key}`],
    );
  }
  return { watched: view(root), unread: () => unreadOf(root, "") };
}
