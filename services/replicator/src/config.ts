/** The replicator's environment: the common part, its store, and where health answers. The only reader of process.env. */

import {
  type Environment,
  openEnvironment,
  readServiceEnvironment,
  type ServiceEnvironment,
} from "@understudy/service/environment";
import { GATE_HOST } from "./gate.ts";

const DOCKER_SOCKET = "/var/run/docker.sock";

export type ReplicatorConfig = ServiceEnvironment & {
  readonly redis: { readonly url: string; readonly password: string };
  /** host:port of HealthControl. */
  readonly healthGrpc: string;
  /** Name or address of this host on which load balancers ask its gates. */
  readonly gateHost: string;
  /** Of Docker or Podman; used once a resource of driver docker is configured. */
  readonly dockerSocket: string;
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
  const gateHost = reader.text("UNDERSTUDY_GATE_HOST", GATE_HOST);
  const dockerSocket = reader.text("UNDERSTUDY_DOCKER_SOCKET", DOCKER_SOCKET);
  reader.finish();
  const { PATH, HOME, TMPDIR, UNDERSTUDY_RUN } = env;
  return Object.freeze({
    ...common,
    redis,
    gateHost,
    dockerSocket,
    healthGrpc: `${health.host}:${health.port}`,
    instanceEnvironment: { PATH, HOME, TMPDIR, UNDERSTUDY_RUN },
  });
}
