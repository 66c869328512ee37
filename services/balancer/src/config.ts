/** The balancer's environment: the common part and whom it listens to. The only reader of process.env. */

import { formatEndpoint } from "@understudy/model/endpoint";
import {
  type Environment,
  openEnvironment,
  readServiceEnvironment,
  type ServiceEnvironment,
} from "@understudy/service/environment";

export type BalancerConfig = ServiceEnvironment & {
  /** host:port of each host's replicator: the one that leads a resource tells of it. */
  readonly replicatorsGrpc: readonly string[];
  readonly healthGrpc: string;
};

/** Throws an EnvironmentError with all mistakes. */
export function readConfig(env: Environment): BalancerConfig {
  const reader = openEnvironment(env);
  const common = readServiceEnvironment(reader);
  const replicators = reader.endpoints("UNDERSTUDY_REPLICATOR_GRPC");
  const health = reader.endpoint("UNDERSTUDY_HEALTH_GRPC");
  reader.finish();
  return Object.freeze({
    ...common,
    replicatorsGrpc: replicators.map(formatEndpoint),
    healthGrpc: `${health.host}:${health.port}`,
  });
}
