/**
 * What a deployment keeps secret, whoever hands it out (Kubernetes Secrets here, volumes of the compose cluster there): a
 * certificate for each peer under an authority of our own, a password for each NATS user and one for Redis. All of it comes from
 * one folder of the operator's, made on first use: asked again it gives the same passwords, and certificates of the same authority.
 */

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  authorityPem,
  type CertificateAuthority,
  createAuthority,
  makeCertificate,
  type TlsMaterial,
} from "@understudy/service/tls";
import { NATS_USERS, type NatsUserName, SERVICE_NAMES } from "@understudy/testkit/servers/nats-users";
import { newPassword, writePassword } from "@understudy/testkit/servers/passwords";

/** Everybody who speaks mTLS, but for the load balancer and the instances of resources. */
export const PEERS = [...SERVICE_NAMES, "cli"] as const;

export type Material = {
  /** Of the authority, PEM. */
  readonly ca: string;
  natsPassword(user: NatsUserName | "route"): string;
  redisPassword(): string;
  /** A new one, under a key of its own. */
  certificate(name: string): Promise<TlsMaterial>;
};

/** `folder` is of the operator: only it ever holds the authority's key. */
export async function openMaterial(folder: string): Promise<Material> {
  const authority: CertificateAuthority = await createAuthority(join(folder, "authority"));
  const passwordOf = (name: string) => keptPassword(join(folder, "passwords"), name);
  return {
    ca: authorityPem(authority),
    natsPassword: (user) => passwordOf(`nats-${user}`),
    redisPassword: () => passwordOf("redis"),
    certificate: (name) => makeCertificate(authority, { name, addresses: [] }),
  };
}

/** Of every user of the bus, by name. */
export function natsPasswords({ natsPassword }: Material): ReadonlyMap<NatsUserName, string> {
  return new Map(NATS_USERS.map(({ name }) => [name, natsPassword(name)]));
}

function keptPassword(folder: string, name: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = join(folder, `${name}.password`);
  return readFileSync(
    existsSync(file) ? file : writePassword(folder, { name, password: newPassword() }),
    "utf8",
  );
}
