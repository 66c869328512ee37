/** The secrets of a deployment (material.ts) as Kubernetes Secrets. */

import { applicationName, type TlsMaterial } from "@understudy/service/tls";
import { type Material, natsPasswords, openMaterial, PEERS } from "./material.ts";

/** HAProxy's runtime API crosses the network here. */
const LOAD_BALANCER = "haproxy";
/** The NATS servers know each other by it. */
const ROUTE_USER = "route";
const NATS_SERVERS = 3;

export type SecretManifest = {
  readonly apiVersion: "v1";
  readonly kind: "Secret";
  readonly type: "Opaque" | "kubernetes.io/tls";
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly stringData: Readonly<Record<string, string>>;
};

export type SecretsRequest = {
  /** Of the operator: the authority and the passwords. */
  readonly folder: string;
  readonly namespace: string;
  /** Resources whose instances have a certificate of their own. */
  readonly applications: readonly string[];
};

type Named = { readonly name: string; readonly data: Readonly<Record<string, string>> };

export async function makeSecrets({
  folder,
  namespace,
  applications,
}: SecretsRequest): Promise<SecretManifest[]> {
  const material = await openMaterial(folder);
  const peers = [...PEERS, LOAD_BALANCER, ...applications.map((name) => applicationName(name))];
  const certificates: SecretManifest[] = [];
  for (const peer of peers) {
    const data = tlsData(await material.certificate(peer));
    certificates.push(secret(namespace, { name: `${peer}-tls`, data }, "kubernetes.io/tls"));
  }
  const opaque: readonly Named[] = [
    ...[...natsPasswords(material)].map(([user, password]) => ({ name: `nats-${user}`, data: { password } })),
    { name: "nats-server", data: natsServer(material) },
    { name: "redis", data: redisData(material.redisPassword()) },
  ];
  return [...certificates, ...opaque.map((each) => secret(namespace, each))];
}

function tlsData({ ca, cert, key }: TlsMaterial): Record<string, string> {
  return { "ca.crt": ca, "tls.crt": cert, "tls.key": key };
}

/**
 * Included by nats.conf, whose users name these variables. In quotes: a password may look like a number of bytes. The routes are
 * a file of their own, because nats-server refuses a variable that nothing names, and a single server has no routes.
 */
function natsServer(material: Material): Record<string, string> {
  const passwords = [...natsPasswords(material)].map(([user, password]) => `${user}_password: "${password}"`);
  const route = material.natsPassword(ROUTE_USER);
  const routes = [`${ROUTE_USER}_password: "${route}"`];
  for (let index = 0; index < NATS_SERVERS; index += 1)
    routes.push(`route_${index}: "nats://${ROUTE_USER}:${route}@nats-${index}.nats-servers:6222"`);
  return { "passwords.conf": `${passwords.join("\n")}\n`, "routes.conf": `${routes.join("\n")}\n` };
}

/** For the replicator the password, for redis.conf a line to include. */
function redisData(password: string): Record<string, string> {
  return { password, "auth.conf": `requirepass ${password}\n` };
}

function secret(
  namespace: string,
  { name, data }: Named,
  type: SecretManifest["type"] = "Opaque",
): SecretManifest {
  return { apiVersion: "v1", kind: "Secret", type, metadata: { name, namespace }, stringData: data };
}
