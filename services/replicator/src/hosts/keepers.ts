/** Who of the configured hosts has to do with what. Pure. */

import type { Configuration, HostSpec, ResourceSpec } from "@understudy/model/policy";

/**
 * The hosts that may keep instances of a resource, its home first: where its very first primary is made. Without `shadows.hosts` it
 * is kept by its home alone, and without `hosts` by whoever is asked.
 */
export function keepersOf(
  { host, shadows }: ResourceSpec,
  { hosts }: Configuration,
  self: string,
): readonly string[] {
  const home = host ?? hosts[0]?.name ?? self;
  return [...new Set([home, ...shadows.hosts])];
}

/** Whether a peer is the replicator of a configured host. That of a single host is called just so. */
export function isHostOf(peer: string, hosts: readonly HostSpec[]): boolean {
  return peer === "replicator" || hosts.some(({ name }) => peer === `replicator-${name}`);
}

export function dataOf(configuration: Configuration | undefined, host: string): string {
  return configuration?.hosts.find(({ name }) => name === host)?.data ?? "";
}

const LOOPBACK = "127.0.0.1";

export function addressOf(configuration: Configuration | undefined, host: string): string {
  return configuration?.hosts.find(({ name }) => name === host)?.address ?? LOOPBACK;
}

/** An instance asks the replicator of its own host for Barriers, wherever it is made. */
export function environmentOf(
  configuration: Configuration | undefined,
  { resource, host }: { resource: string; host: string },
): Readonly<Record<string, string>> {
  const spread = configuration?.resources.some(
    ({ name, shadows }) => name === resource && shadows.hosts.length > 0,
  );
  const control = configuration?.hosts.find(({ name }) => name === host)?.control;
  return spread && control !== undefined ? { UNDERSTUDY_REPLICATOR_GRPC: control } : {};
}
