/** The health service's environment: the common part and where its replicator answers. The only reader of process.env. */

import {
  type Environment,
  openEnvironment,
  readServiceEnvironment,
  type ServiceEnvironment,
} from "@understudy/service/environment";

export type HealthConfig = ServiceEnvironment & {
  /** host:port of ReplicationControl. */
  readonly replicatorGrpc: string;
  /** For exec probes. */
  readonly probeEnvironment: Environment;
};

/** Throws an EnvironmentError with all mistakes. */
export function readConfig(env: Environment): HealthConfig {
  const reader = openEnvironment(env);
  const common = readServiceEnvironment(reader);
  const replicator = reader.endpoint("UNDERSTUDY_REPLICATOR_GRPC");
  reader.finish();
  return Object.freeze({
    ...common,
    replicatorGrpc: `${replicator.host}:${replicator.port}`,
    probeEnvironment: { PATH: env.PATH, HOME: env.HOME, TMPDIR: env.TMPDIR },
  });
}
