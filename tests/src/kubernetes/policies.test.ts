import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { REPOSITORY } from "../sources.ts";
import { checkAll } from "./check.ts";
import { renderKustomization } from "./kustomize.ts";
import type { JsonObject, Manifest, PodSpec } from "./manifest.ts";
import { checkPolicies } from "./policies.ts";

const dev = renderKustomization(join(REPOSITORY, "k8s/overlays/dev"));
const pod = renderKustomization(join(REPOSITORY, "examples/k8s-sidecar/one-pod"));

test("all our manifests are good, and every exception is needed", async () => {
  for (const [name, problems] of await checkAll()) assert.deepEqual(problems, [], name);
});

type Change = (manifests: Manifest[]) => void;

const put = (holder: unknown, change: JsonObject) => void Object.assign(holder as JsonObject, change);
const find = (manifests: readonly Manifest[], kind: string, name: string) =>
  manifests.find((each) => each.kind === kind && each.metadata.name === name)!;
const specOf = (manifests: readonly Manifest[], name = "balancer") =>
  (find(manifests, "Deployment", name).spec as unknown as { template: { spec: PodSpec } }).template.spec;
const first = (manifests: readonly Manifest[], name?: string) =>
  specOf(manifests, name).containers[0] as unknown as JsonObject;
const inContainer =
  (change: JsonObject): Change =>
  (manifests) =>
    void Object.assign(first(manifests), change);
const inSecurity =
  (change: JsonObject): Change =>
  (manifests) =>
    void Object.assign(first(manifests).securityContext as JsonObject, change);
const inPod =
  (change: JsonObject): Change =>
  (manifests) =>
    void Object.assign(specOf(manifests), change);
const without =
  (kind: string, name: string): Change =>
  (manifests) =>
    void manifests.splice(manifests.indexOf(find(manifests, kind, name)), 1);

const BROKEN: readonly [what: string, change: Change, problem: RegExp][] = [
  ["an image that is the latest", inContainer({ image: "understudy-balancer:latest" }), /fixed image/],
  [
    "an image without a tag",
    inContainer({ image: "registry.example.com:5000/understudy-balancer" }),
    /fixed image/,
  ],
  ["root", inPod({ securityContext: { runAsUser: 0, runAsNonRoot: true } }), /never root/],
  ["nobody says who", inPod({ securityContext: {} }), /runAsNonRoot.*\n?.*seccomp/s],
  ["more privileges", inSecurity({ allowPrivilegeEscalation: true }), /may gain/],
  ["privileged", inSecurity({ privileged: true }), /sets privileged/],
  ["a capability", inSecurity({ capabilities: { drop: ["ALL"], add: ["NET_ADMIN"] } }), /capabilities/],
  ["no capability dropped", inSecurity({ capabilities: {} }), /capabilities/],
  ["a writable root", inSecurity({ readOnlyRootFilesystem: false }), /read-only root/],
  [
    "no limits",
    inContainer({ resources: { requests: { cpu: "1", memory: "1Mi" } } }),
    /no limits of cpu[\s\S]*no limits of memory/,
  ],
  ["no requests", inContainer({ resources: { limits: { cpu: "1", memory: "1Mi" } } }), /no requests of cpu/],
  ["no readiness probe", (all) => void delete first(all).readinessProbe, /no readinessProbe/],
  [
    "a probe of no port",
    inContainer({ readinessProbe: { httpGet: { path: "/readyz", port: "web" } } }),
    /no port of its: web/,
  ],
  ["the node's processes", inPod({ hostPID: true }), /it has hostPID/],
  ["the node's network", inPod({ hostNetwork: true }), /it has hostNetwork/],
  [
    "a folder of the node",
    (all) => void specOf(all).volumes!.push({ name: "x", hostPath: { path: "/" } }),
    /volume x is of the node/,
  ],
  [
    "a port of the node",
    inContainer({ ports: [{ name: "probes", containerPort: 8080, hostPort: 80 }] }),
    /port probes is the node's/,
  ],
  ["a token", inPod({ automountServiceAccountToken: true }), /no token/],
  [
    "a password in the environment",
    inContainer({ env: [{ name: "UNDERSTUDY_NATS_PASSWORD", value: "x" }] }),
    /secrets are files/,
  ],
  [
    "scratch without a bound",
    (all) => void specOf(all).volumes!.push({ name: "x", emptyDir: {} }),
    /emptyDir x has no sizeLimit/,
  ],
  [
    "a volume nobody mounts",
    (all) => void specOf(all).volumes!.push({ name: "x", emptyDir: { sizeLimit: "1Mi" } }),
    /nobody mounts volume x/,
  ],
  ["no volume to mount", inContainer({ volumeMounts: [{ name: "x", mountPath: "/x" }] }), /no volume x/],
  [
    "a secret that may be written",
    inContainer({ volumeMounts: [{ name: "tls", mountPath: "/x" }] }),
    /tls is not mounted read only/,
  ],
  ["no ConfigMap", inContainer({ envFrom: [{ configMapRef: { name: "x" } }] }), /no ConfigMap x/],
  ["no account", without("ServiceAccount", "balancer"), /no ServiceAccount balancer/],
  ["no budget", without("PodDisruptionBudget", "balancer"), /has no PodDisruptionBudget/],
  ["no policy", without("NetworkPolicy", "balancer"), /has no NetworkPolicy/],
  ["nothing denied", without("NetworkPolicy", "default-deny"), /nothing denies/],
  [
    "a volume claim that is not there",
    without("PersistentVolumeClaim", "predictor-data"),
    /no PersistentVolumeClaim predictor-data/,
  ],
  ["a class that is not there", without("PriorityClass", "understudy"), /no PriorityClass/],
  [
    "an open namespace",
    (all) => put(find(all, "Namespace", "understudy").metadata, { labels: {} }),
    /restricted namespace/,
  ],
  [
    "an object in no namespace",
    (all) => void delete (find(all, "Service", "health").metadata as JsonObject).namespace,
    /in no namespace/,
  ],
  [
    "a right to the API",
    (all) =>
      void all.push({
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "Role",
        metadata: { name: "x", namespace: "understudy" },
      }),
    /nobody here needs/,
  ],
  [
    "a Service that leads nowhere",
    (all) => put(find(all, "Service", "health").spec, { selector: { app: "x" } }),
    /selects 0 kinds/,
  ],
  [
    "a Service at no port",
    (all) => put(find(all, "Service", "health").spec, { ports: [{ name: "x", port: 1, targetPort: "x" }] }),
    /no port x there/,
  ],
  [
    "gRPC that is away during a failover",
    (all) => void delete (find(all, "Service", "replicator").spec as JsonObject).publishNotReadyAddresses,
    /gRPC is away/,
  ],
  [
    "health that takes another pod for its host",
    (all) => put(first(all, "health").env, { 0: { name: "UNDERSTUDY_HOST", value: "replicator" } }),
    /both are host replicator/,
  ],
];

describe("what breaks a policy is found", () => {
  for (const [what, change, problem] of BROKEN)
    test(what, () => {
      const manifests = structuredClone(dev);
      change(manifests);
      assert.match(checkPolicies(manifests).join("\n"), problem);
    });

  test("sidecars that do not see their host's processes", () => {
    const manifests = structuredClone(pod);
    delete (specOf(manifests, "catalog") as JsonObject).shareProcessNamespace;
    assert.match(checkPolicies(manifests).join("\n"), /one host, one process namespace/);
  });
});
