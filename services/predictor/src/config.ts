/** The predictor's environment: only the common part. The only reader of process.env. */

import {
  type Environment,
  openEnvironment,
  readServiceEnvironment,
  type ServiceEnvironment,
} from "@understudy/service/environment";

/** Throws an EnvironmentError with all mistakes. */
export function readConfig(env: Environment): ServiceEnvironment {
  const reader = openEnvironment(env);
  const common = readServiceEnvironment(reader);
  reader.finish();
  return common;
}
