/** The replicator's environment: the common part, its store, and where health answers. The only reader of process.env. */

import { isIP } from "node:net";
import {
  type Environment,
  type EnvironmentReader,
  openEnvironment,
  readServiceEnvironment,
  type ServiceEnvironment,
} from "@understudy/service/environment";
import type { EnrolSettings } from "./hosts/host-registry.ts";

const DOCKER_SOCKET = "/var/run/docker.sock";

export type ReplicatorConfig = ServiceEnvironment & {
  readonly redis: { readonly url: string; readonly password: string };
  /** host:port of HealthControl. */
  readonly healthGrpc: string;
  /** Undefined unless the key of the certificate authority lies here. */
  readonly enrol: EnrolSettings | undefined;
  /** Name or address on which load balancers ask the gates of this host; empty: the one at which its instances are reached. */
  readonly gateHost: string;
  /** IP address at which instances and gates of this host listen and are reached; empty: as `hosts[].address` says. */
  readonly instanceAddress: string;
  /** Of Docker or Podman; used once a resource of driver docker is configured. */
  readonly dockerSocket: string;
  /** Network of the containers that are made on this host; empty: the primary's own. */
  readonly dockerNetwork: string;
  /** What instances may see of our own environment. */
  readonly instanceEnvironment: Environment;
};

/** Throws an EnvironmentError with all mistakes. */
export function readConfig(env: Environment): ReplicatorConfig {
  const reader = openEnvironment(env);
  const common = readServiceEnvironment(reader);
  const redis = {
    url: reader.text("UNDERSTUDY_REDIS_URL"),
    password: reader.secret("UNDERSTUDY_REDIS_PASSWORD", ""),
  };
  const health = reader.endpoint("UNDERSTUDY_HEALTH_GRPC");
  const enrol = readEnrol(reader, env);
  const gateHost = reader.text("UNDERSTUDY_GATE_HOST", "");
  const instanceAddress = readInstanceAddress(reader);
  const dockerSocket = reader.text("UNDERSTUDY_DOCKER_SOCKET", DOCKER_SOCKET);
  const dockerNetwork = reader.text("UNDERSTUDY_DOCKER_NETWORK", "");
  reader.finish();
  const { PATH, HOME, TMPDIR, UNDERSTUDY_RUN } = env;
  return Object.freeze({
    ...common,
    redis,
    enrol: enrol && { ...enrol, told: toldToHosts(common, redis, `${health.host}:${health.port}`) },
    gateHost,
    instanceAddress,
    dockerSocket,
    dockerNetwork,
    healthGrpc: `${health.host}:${health.port}`,
    instanceEnvironment: { PATH, HOME, TMPDIR, UNDERSTUDY_RUN },
  });
}

/** For hosts whose address is known only when they start, such as pods. */
function readInstanceAddress(reader: EnvironmentReader): string {
  const address = reader.text("UNDERSTUDY_INSTANCE_ADDRESS", "");
  if (address !== "" && isIP(address) === 0)
    reader.mistake(`UNDERSTUDY_INSTANCE_ADDRESS="${address}" is not an IP address`);
  return address;
}

function readEnrol(reader: EnvironmentReader, env: Environment): Omit<EnrolSettings, "told"> | undefined {
  const authorityDir = env.UNDERSTUDY_AUTHORITY_DIR ?? "";
  if (authorityDir === "") return undefined;
  const listen = reader.endpoint("UNDERSTUDY_ENROL_LISTEN", "127.0.0.1:0");
  const address = reader.text("UNDERSTUDY_ENROL_ADDRESS", `${listen.host}:${listen.port}`);
  return { authorityDir, listen, address };
}

/** A replicator on another host needs the same bus, store and health as this one. */
function toldToHosts(
  { nats }: ServiceEnvironment,
  redis: ReplicatorConfig["redis"],
  health: string,
): Readonly<Record<string, string>> {
  return {
    UNDERSTUDY_NATS_URL: nats.url,
    UNDERSTUDY_NATS_USER: nats.user,
    UNDERSTUDY_NATS_PASSWORD: nats.password,
    UNDERSTUDY_REDIS_URL: redis.url,
    UNDERSTUDY_REDIS_PASSWORD: redis.password,
    UNDERSTUDY_HEALTH_GRPC: health,
  };
}
