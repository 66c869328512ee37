/** gRPC HostRegistry and the listener for machines that join: both where the key of the certificate authority lies. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { type Endpoint, parseEndpoint } from "@understudy/model/endpoint";
import type { HostSpec } from "@understudy/model/policy";
import { admitBy } from "@understudy/service/callers";
import { type Admission, type EnrolmentServer, serveEnrolment } from "@understudy/service/enrolment-server";
import { fingerprintOf, formatToken, hashSecret, newSecret } from "@understudy/service/enrolment-token";
import { GrpcError, type Handlers, type Implementation, implement } from "@understudy/service/grpc";
import type { Log } from "@understudy/service/log";
import { type CertificateAuthority, createAuthority, type TlsMaterial } from "@understudy/service/tls";
import {
  AddHostResponseSchema,
  HostRecordSchema,
  HostRegistry,
  HostState,
  ListHostsResponseSchema,
  RemoveHostResponseSchema,
} from "@understudy/wire/gen/host";
import { type Change, type HostEntry, invite, type Registry, redeem, remove } from "./registry.ts";
import { readRegistry, writeRegistry } from "./registry-file.ts";

const admit = admitBy<keyof typeof HostRegistry.method>({
  addHost: ["cli"],
  listHosts: ["cli"],
  removeHost: ["cli"],
});

export type EnrolSettings = {
  /** Folder with ca.crt and ca.key. */
  readonly authorityDir: string;
  readonly listen: Endpoint;
  /** host:port under which other machines reach `listen`. */
  readonly address: string;
  /** What a machine that has joined is told, to start its replicator with. */
  readonly told: Readonly<Record<string, string>>;
};

export type HostsParts = EnrolSettings & {
  readonly dataDir: string;
  readonly tls: TlsMaterial;
  readonly log: Log;
  readonly nowMs: () => number;
  /** As the configuration in force has them. */
  readonly configured: () => readonly HostSpec[];
};

export type Hosts = { readonly control: Implementation; readonly port: number; close(): Promise<void> };

export async function openHosts(parts: HostsParts): Promise<Hosts> {
  const { log, nowMs, listen, tls } = parts;
  const file = join(parts.dataDir, "hosts.json");
  if (!existsSync(join(parts.authorityDir, "ca.key")))
    throw new Error(
      `UNDERSTUDY_AUTHORITY_DIR="${parts.authorityDir}" holds no ca.key: give the authority's folder`,
    );
  // Late: a replicator that has primaries to take over has no time for it.
  let loaded: Promise<CertificateAuthority> | undefined;
  const authority = () => {
    loaded ??= createAuthority(parts.authorityDir);
    return loaded;
  };
  let registry: Registry = readRegistry(file);

  /** On disk first: what is answered must survive us. */
  function keep(change: Change): void {
    if (!change.done) throw new GrpcError("failed-precondition", change.why);
    writeRegistry(file, change.next);
    registry = change.next;
  }

  function admitHost(secret: Buffer, about: Readonly<Record<string, string>>): Admission {
    const { control = "", data = "" } = about;
    const wrong = [control, data].find((address) => !parseEndpoint(address));
    if (wrong !== undefined) return { admitted: false, why: `"${wrong}" is not host:port` };
    const change = redeem(registry, { secretHash: hashSecret(secret), control, data, nowMs: nowMs() });
    if (!change.done) return { admitted: false, why: change.why };
    keep(change);
    log.info("a host has joined", { host: change.name, control, data });
    return {
      admitted: true,
      name: `replicator-${change.name}`,
      told: { ...parts.told, UNDERSTUDY_HOST: change.name! },
    };
  }

  const server: EnrolmentServer = await serveEnrolment({
    ...listen,
    authority,
    tls,
    nowMs,
    admit: admitHost,
    onError: (error) => log.warn("enrolment", { error }),
  });

  const handlers: Handlers<typeof HostRegistry> = {
    addHost: async ({ name, validMinutes }, call) => {
      admit("addHost", { ...call, resource: "" });
      const secret = newSecret();
      keep(invite(registry, { name, secretHash: hashSecret(secret), validMinutes, nowMs: nowMs() }));
      log.info("a host is invited", { host: name });
      const address = addressOf(parts.address, server.port);
      const token = formatToken({ secret, fingerprint: fingerprintOf(tls.ca), address });
      const entry = registry.find((each) => each.name === name);
      const expiresAtMs = BigInt(entry?.state === "invited" ? entry.expiresAtMs : 0);
      return create(AddHostResponseSchema, { token, expiresAtMs });
    },
    listHosts: async (_request, call) => {
      admit("listHosts", { ...call, resource: "" });
      const hosts = registry.map((entry) => recordOf(entry, parts.configured()));
      return create(ListHostsResponseSchema, { hosts });
    },
    removeHost: async ({ name }, call) => {
      admit("removeHost", { ...call, resource: "" });
      keep(remove(registry, name));
      log.info("a host was removed", { host: name });
      return create(RemoveHostResponseSchema);
    },
  };
  return { control: implement(HostRegistry, handlers), port: server.port, close: server.close };
}

/** Port 0 listens anywhere: what was bound is what is said. */
function addressOf(address: string, port: number): string {
  return address.replace(/:0$/, `:${port}`);
}

function recordOf(entry: HostEntry, configured: readonly HostSpec[]) {
  const { name } = entry;
  switch (entry.state) {
    case "invited":
      return create(HostRecordSchema, {
        name,
        state: HostState.INVITED,
        expiresAtMs: BigInt(entry.expiresAtMs),
      });
    case "joined": {
      const { control, data } = entry;
      const isConfigured = configured.some(
        (each) => each.name === name && each.control === control && each.data === data,
      );
      const joinedAtMs = BigInt(entry.joinedAtMs);
      const state = HostState.JOINED;
      return create(HostRecordSchema, { name, state, control, data, joinedAtMs, configured: isConfigured });
    }
    case "removed":
      return create(HostRecordSchema, { name, state: HostState.REMOVED });
  }
}
