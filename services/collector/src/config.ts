/** The collector's environment: the common part and the length of a tick. The only reader of process.env. */

import {
  type Environment,
  EnvironmentError,
  openEnvironment,
  readServiceEnvironment,
  type ServiceEnvironment,
} from "@understudy/service/environment";

const CGROUP_ROOT = "/sys/fs/cgroup";
const INTERVAL_DEFAULT = "100";
const INTERVAL_MIN_MS = 20;
const INTERVAL_MAX_MS = 10_000;

export type CollectorConfig = ServiceEnvironment & {
  readonly intervalMs: number;
  /** Where the host's control groups are mounted: elsewhere than usual when the collector is a container itself. */
  readonly cgroupRoot: string;
};

/** Throws an EnvironmentError with all mistakes. */
export function readConfig(env: Environment): CollectorConfig {
  const reader = openEnvironment(env);
  const common = readServiceEnvironment(reader);
  const interval = reader.text("UNDERSTUDY_COLLECT_INTERVAL_MS", INTERVAL_DEFAULT);
  const cgroupRoot = reader.text("UNDERSTUDY_CGROUP_ROOT", CGROUP_ROOT);
  reader.finish();
  const intervalMs = Number(interval);
  if (!Number.isInteger(intervalMs) || intervalMs < INTERVAL_MIN_MS || intervalMs > INTERVAL_MAX_MS) {
    const bounds = `a whole number from ${INTERVAL_MIN_MS} to ${INTERVAL_MAX_MS}`;
    throw new EnvironmentError([`UNDERSTUDY_COLLECT_INTERVAL_MS="${interval}" is not ${bounds}`]);
  }
  return Object.freeze({ ...common, intervalMs, cgroupRoot });
}
