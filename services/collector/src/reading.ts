/** What one tick has read, before anything is worked out of it: counters with their times, and gauges. */

import type { APPLICATION_COLUMNS } from "@understudy/model/metric-names";
import type { PoolCounters } from "@understudy/traffic/driver";
import type { Moment } from "./moment.ts";

export type ApplicationColumn = (typeof APPLICATION_COLUMNS)[number];

/** What only a control group knows; each undefined where the kernel does not count it. */
export type GroupCounters = {
  readonly ioReadBytes: number | undefined;
  readonly ioWriteBytes: number | undefined;
  /** Periods of its quota so far, and those of them in which it was held back. */
  readonly periods: number | undefined;
  readonly throttledPeriods: number | undefined;
  /** Processes killed in it for want of memory, so far. */
  readonly outOfMemoryKills: number | undefined;
};

/** From the host of an instance. `atMs`: monotonic time at which it was read. */
export type HostReading = {
  readonly atMs: number;
  /** Processor time used so far. */
  readonly cpuSeconds: number;
  readonly memoryBytes: number;
  /** Undefined when the instance has no control group of its own. */
  readonly group: GroupCounters | undefined;
  /** Undefined when the instance has no network namespace of its own. */
  readonly network: { readonly receiveBytes: number; readonly transmitBytes: number } | undefined;
};

/** From the application: gauges as they are, columns per second as the counters behind them. */
export type ApplicationReading = Moment & {
  readonly values: Readonly<Partial<Record<ApplicationColumn, number>>>;
};

export type InstanceReading = {
  readonly resource: string;
  readonly instance: string;
  /** New after each re-creation: counters of an earlier one do not go on in it. */
  readonly incarnation: string;
  readonly host: HostReading | undefined;
  readonly application: ApplicationReading | undefined;
};

export type PoolReading = Moment & {
  readonly resource: string;
  /** Undefined when the balancer did not answer in time. */
  readonly counters: PoolCounters | undefined;
};

export type LinkReading = { readonly toHost: string; readonly roundTripMs: number; readonly loss: number };

export type Readings = {
  /** Monotonic time of the tick. */
  readonly atMs: number;
  readonly instances: readonly InstanceReading[];
  readonly pools: readonly PoolReading[];
  readonly links: readonly LinkReading[];
};
