/** The balancer's environment: the common part and whom it listens to. The only reader of process.env. */

import {
  type Environment,
  openEnvironment,
  readServiceEnvironment,
  type ServiceEnvironment,
} from "@understudy/service/environment";

export type BalancerConfig = ServiceEnvironment & {
  /** host:port */
  readonly replicatorGrpc: string;
  readonly healthGrpc: string;
};

/** Throws an EnvironmentError with all mistakes. */
export function readConfig(env: Environment): BalancerConfig {
  const reader = openEnvironment(env);
  const common = readServiceEnvironment(reader);
  const replicator = reader.endpoint("UNDERSTUDY_REPLICATOR_GRPC");
  const health = reader.endpoint("UNDERSTUDY_HEALTH_GRPC");
  reader.finish();
  return Object.freeze({
    ...common,
    replicatorGrpc: `${replicator.host}:${replicator.port}`,
    healthGrpc: `${health.host}:${health.port}`,
  });
}
