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

/** Of an instance, from its own Prometheus endpoint. */
export const APPLICATION_COLUMNS = ["busyWorkers", "workers", "queuedRequests", "servedPerSecond"] as const;

/** Those of which it is known how far they can go, so that an instance's capacity can follow from them. */
export const BINDING_SIGNALS = ["cpuCores", "busyWorkers"] as const;
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
  | (typeof APPLICATION_COLUMNS)[number]
  | (typeof TRAFFIC_COLUMNS)[number];

export const METRIC_NAMES: readonly MetricName[] = [
  ...INSTANCE_COLUMNS,
  ...APPLICATION_COLUMNS,
  ...TRAFFIC_COLUMNS,
];
