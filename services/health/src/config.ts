/** The health service's environment: the common part and where its replicator answers. The only reader of process.env. */

import { formatEndpoint } from "@understudy/model/endpoint";
import {
  type Environment,
  openEnvironment,
  readServiceEnvironment,
  type ServiceEnvironment,
} from "@understudy/service/environment";

export type HealthConfig = ServiceEnvironment & {
  /** host:port of ReplicationControl, of each host: the one that leads a resource tells of it. */
  readonly replicatorsGrpc: readonly string[];
  /** For exec probes. */
  readonly probeEnvironment: Environment;
};

/** Throws an EnvironmentError with all mistakes. */
export function readConfig(env: Environment): HealthConfig {
  const reader = openEnvironment(env);
  const common = readServiceEnvironment(reader);
  const replicators = reader.endpoints("UNDERSTUDY_REPLICATOR_GRPC");
  reader.finish();
  return Object.freeze({
    ...common,
    replicatorsGrpc: replicators.map(formatEndpoint),
    probeEnvironment: { PATH: env.PATH, HOME: env.HOME, TMPDIR: env.TMPDIR },
  });
}
