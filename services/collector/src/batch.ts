/**
 * Readings of one tick and the counters of the ticks before -> one columnar batch. Pure: times come with the readings.
 * What could not be measured is NaN, never zero.
 */

import { METRIC_NAMES, type MetricName } from "@understudy/model/metric-names";
import type { PoolCounters, TargetCounters } from "@understudy/traffic/driver";
import type { Moment } from "./moment.ts";
import { RateReader, type Rates } from "./rates.ts";
import type {
  ApplicationReading,
  GroupCounters,
  HostReading,
  InstanceReading,
  PoolReading,
  Readings,
} from "./reading.ts";

/**
 * The kernel counts processor time in ticks of 10 ms: over 100 ms that would be steps of a tenth of a core. Over a second
 * it is steps of a hundredth.
 */
const CPU_WINDOW_MS = 1000;

export type Row = { readonly resource: string; readonly instance: string };
export type Column = { readonly name: MetricName; readonly values: number[] };
export type Batch = { readonly rows: readonly Row[]; readonly columns: readonly Column[] };

type Values = Partial<Record<MetricName, number>>;

export function newRates(): Rates {
  return new Map();
}

/** One row for each instance of this host, each target of a pool read here, and each resource whose pool is read here. */
export function makeBatch(before: Rates, readings: Readings): { batch: Batch; next: Rates } {
  const rates = new RateReader(before);
  const rows = new Map<string, Row & { values: Values }>();
  const add = ({ resource, instance }: Row, values: Values): void => {
    const key = `${resource}.${instance}`;
    rows.set(key, { resource, instance, values: { ...rows.get(key)?.values, ...values } });
  };
  for (const reading of readings.instances) add(reading, instanceValues(rates, reading));
  for (const pool of readings.pools) {
    add({ resource: pool.resource, instance: "" }, poolValues(rates, pool));
    for (const target of pool.counters?.targets ?? []) {
      const about = { resource: pool.resource, instance: target.instance };
      add(about, targetValues(rates, pool, target));
    }
  }
  for (const reading of readings.instances)
    shareNetwork(rows.get(`${reading.resource}.${reading.instance}`)?.values, reading);
  const list = [...rows.values()];
  const columns = METRIC_NAMES.map((name) => ({
    name,
    values: list.map(({ values }) => values[name] ?? Number.NaN),
  }));
  return {
    batch: { rows: list.map(({ resource, instance }) => ({ resource, instance })), columns },
    next: rates.next(),
  };
}

function instanceValues(rates: RateReader, reading: InstanceReading): Values {
  const key = `${reading.resource}.${reading.instance}.${reading.incarnation}`;
  // Late is not ended: the counter goes on when the next page comes.
  if (!reading.application) rates.keep(`${key}.served`);
  return {
    ...(reading.host ? hostValues(rates, key, reading.host) : {}),
    ...(reading.application ? applicationValues(rates, key, reading.application) : {}),
  };
}

function hostValues(
  rates: RateReader,
  key: string,
  { atMs, cpuSeconds, memoryBytes, group, network }: HostReading,
): Values {
  const moment: Moment = { atMs, doubtMs: 0 };
  return {
    cpuCores: rates.perSecond(`${key}.cpu`, { value: cpuSeconds, ...moment }, CPU_WINDOW_MS),
    memoryBytes,
    ...(group ? groupValues(rates, key, { atMs, group }) : {}),
    ...(network
      ? {
          networkReceiveBytesPerSecond: rates.perSecond(`${key}.receive`, {
            value: network.receiveBytes,
            ...moment,
          }),
          networkTransmitBytesPerSecond: rates.perSecond(`${key}.transmit`, {
            value: network.transmitBytes,
            ...moment,
          }),
        }
      : {}),
  };
}

function groupValues(
  rates: RateReader,
  key: string,
  { atMs, group }: { atMs: number; group: GroupCounters },
): Values {
  const rate = (name: string, value: number | undefined): number =>
    value === undefined ? Number.NaN : rates.perSecond(`${key}.${name}`, { value, atMs, doubtMs: 0 });
  const periods = rate("periods", group.periods);
  const throttled = rate("throttled", group.throttledPeriods);
  return {
    ioReadBytesPerSecond: rate("read", group.ioReadBytes),
    ioWriteBytesPerSecond: rate("write", group.ioWriteBytes),
    // Without a quota there are no periods to be held back in.
    throttledShare: periods === 0 ? 0 : throttled / periods,
    outOfMemoryKills: group.outOfMemoryKills ?? Number.NaN,
  };
}

function applicationValues(
  rates: RateReader,
  key: string,
  { atMs, doubtMs, values }: ApplicationReading,
): Values {
  const { servedPerSecond: value, ...gauges } = values;
  if (value === undefined) return gauges;
  return { ...gauges, servedPerSecond: rates.perSecond(`${key}.served`, { value, atMs, doubtMs }) };
}

/**
 * A process among others on a host has no network counters of its own: then what the balancer passes on to it and from it
 * stands for them, replication not included.
 */
function shareNetwork(values: Values | undefined, { host }: InstanceReading): void {
  if (!values || host?.network) return;
  const { requestBytesPerSecond, responseBytesPerSecond } = values;
  if (requestBytesPerSecond !== undefined) values.networkReceiveBytesPerSecond = requestBytesPerSecond;
  if (responseBytesPerSecond !== undefined) values.networkTransmitBytesPerSecond = responseBytesPerSecond;
}

/** Offered demand: arrivals, whoever served them. */
function poolValues(rates: RateReader, { resource, atMs, doubtMs, counters }: PoolReading): Values {
  const prefix = `${resource}/`;
  if (!counters) {
    rates.keepAll(prefix);
    return {};
  }
  const rate = (name: string, value: number): number =>
    rates.perSecond(`${prefix}${name}`, { value, atMs, doubtMs });
  return {
    readsPerSecond: rate("reads", counters.readsOffered),
    writesPerSecond: rate("writes", counters.writesOffered),
    errorsPerSecond: rate("errors", counters.errors),
    requestBytesPerSecond: rate("in", counters.bytesIn),
    responseBytesPerSecond: rate("out", counters.bytesOut),
    inFlight: sumInFlight(counters),
    balancerQueue: counters.queued,
  };
}

function targetValues(
  rates: RateReader,
  { resource, atMs, doubtMs }: PoolReading,
  target: TargetCounters,
): Values {
  const prefix = `${resource}/${target.instance}/`;
  const rate = (name: string, value: number): number =>
    rates.perSecond(`${prefix}${name}`, { value, atMs, doubtMs });
  return {
    readsPerSecond: rate("reads", target.reads),
    writesPerSecond: rate("writes", target.writes),
    errorsPerSecond: rate("errors", target.errors),
    requestBytesPerSecond: rate("in", target.bytesIn),
    responseBytesPerSecond: rate("out", target.bytesOut),
    inFlight: target.inFlight,
  };
}

function sumInFlight({ targets }: PoolCounters): number {
  return targets.reduce((sum, { inFlight }) => sum + inFlight, 0);
}
