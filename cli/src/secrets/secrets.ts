/**
 * What a deployment keeps secret, as Kubernetes Secrets: a certificate per service under an authority of our own, a password
 * per NATS user and one for Redis. All of it comes from one folder of the operator's, made on first use, so that asking
 * again gives the same passwords and certificates of the same authority; only that folder ever holds the authority's key.
 */

import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createAuthority, issueCertificate, readTls } from "@understudy/service/tls";
import { NATS_USERS, SERVICE_NAMES } from "@understudy/testkit/servers/nats-users";
import { newPassword, writePassword } from "@understudy/testkit/servers/passwords";

/** Who else has a certificate: the load balancer's runtime API, and the command line. */
const OTHER_PEERS = ["haproxy", "cli"];
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

export async function makeSecrets({ folder, ...request }: SecretsRequest): Promise<SecretManifest[]> {
  const passwordOf = (name: string) => keptPassword(join(folder, "passwords"), name);
  return [
    ...(await certificates(folder, request)),
    ...NATS_USERS.map(({ name }) =>
      secret(request, { name: `nats-${name}`, data: { password: passwordOf(`nats-${name}`) } }),
    ),
    secret(request, { name: "nats-server", data: natsServer(passwordOf) }),
    secret(request, { name: "redis", data: redisPassword(passwordOf("redis")) }),
  ];
}

async function certificates(
  folder: string,
  request: Omit<SecretsRequest, "folder">,
): Promise<SecretManifest[]> {
  const authority = await createAuthority(join(folder, "authority"));
  const names = [...SERVICE_NAMES, ...OTHER_PEERS, ...request.applications.map((name) => `app-${name}`)];
  const dir = join(folder, "issued");
  const made: SecretManifest[] = [];
  try {
    for (const name of names) {
      await issueCertificate(authority, { name, dir, addresses: [] });
      const { ca, cert, key } = readTls(dir);
      const data = { "ca.crt": ca, "tls.crt": cert, "tls.key": key };
      made.push(secret(request, { name: `${name}-tls`, type: "kubernetes.io/tls", data }));
    }
    return made;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

function keptPassword(folder: string, name: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, `${name}.password`);
  return readFileSync(
    existsSync(file) ? file : writePassword(folder, { name, password: newPassword() }),
    "utf8",
  );
}

/**
 * Included by nats.conf, whose users name these variables. In quotes: a password may look like a number of bytes. The routes are
 * a file of their own, because nats-server refuses a variable that nothing names, and a single server has no routes.
 */
function natsServer(passwordOf: (name: string) => string): Record<string, string> {
  const passwords = NATS_USERS.map(({ name }) => `${name}_password: "${passwordOf(`nats-${name}`)}"`);
  const route = passwordOf(`nats-${ROUTE_USER}`);
  const routes = [`${ROUTE_USER}_password: "${route}"`];
  for (let index = 0; index < NATS_SERVERS; index += 1)
    routes.push(`route_${index}: "nats://${ROUTE_USER}:${route}@nats-${index}.nats-servers:6222"`);
  return { "passwords.conf": `${passwords.join("\n")}\n`, "routes.conf": `${routes.join("\n")}\n` };
}

/** For the replicator the password, for redis.conf a line to include. */
function redisPassword(password: string): Record<string, string> {
  return { password, "auth.conf": `requirepass ${password}\n` };
}

function secret(
  { namespace }: { namespace: string },
  {
    name,
    type = "Opaque",
    data,
  }: { name: string; type?: SecretManifest["type"]; data: Record<string, string> },
): SecretManifest {
  return { apiVersion: "v1", kind: "Secret", type, metadata: { name, namespace }, stringData: data };
}
