/**
 * The columns of a MetricBatch. A row is one instance, or, with an empty instance, the resource as its load balancer
 * sees it. The unit is part of the name. docs/metrics.md explains each.
 */

/** Of an instance, from its host. */
export const INSTANCE_COLUMNS = [
  "cpuCores",
  "memoryBytes",
  "networkReceiveBytesPerSecond",
  "networkTransmitBytesPerSecond",
] as const;

/** Of an instance that has a control group of its own, such as a container. */
export const CONTAINER_COLUMNS = [
  "ioReadBytesPerSecond",
  "ioWriteBytesPerSecond",
  "throttledShare",
  "outOfMemoryKills",
] as const;

/** Of an instance, from its own Prometheus endpoint. */
export const APPLICATION_COLUMNS = ["busyWorkers", "workers", "queuedRequests", "servedPerSecond"] as const;

/** Those whose limit a user can say; of busy workers it is what the instance reports. */
export const LIMITED_SIGNALS = INSTANCE_COLUMNS;
export type LimitedSignal = (typeof LIMITED_SIGNALS)[number];

/** Those from which an instance's capacity can follow, where their limit is known. */
export const BINDING_SIGNALS = [...LIMITED_SIGNALS, "busyWorkers"] as const;
export type BindingSignal = (typeof BINDING_SIGNALS)[number];

/** Of an instance or of the whole resource, from the load balancer's counters. */
export const TRAFFIC_COLUMNS = [
  "readsPerSecond",
  "writesPerSecond",
  "errorsPerSecond",
  "inFlight",
  "balancerQueue",
  "requestBytesPerSecond",
  "responseBytesPerSecond",
] as const;

export type MetricName =
  | (typeof INSTANCE_COLUMNS)[number]
  | (typeof CONTAINER_COLUMNS)[number]
  | (typeof APPLICATION_COLUMNS)[number]
  | (typeof TRAFFIC_COLUMNS)[number];

export const METRIC_NAMES: readonly MetricName[] = [
  ...INSTANCE_COLUMNS,
  ...CONTAINER_COLUMNS,
  ...APPLICATION_COLUMNS,
  ...TRAFFIC_COLUMNS,
];
