/** Counters of the pools whose load balancer answers on this host. */

import type { PoolSpec } from "@understudy/model/policy";
import type { TrafficDriver } from "@understudy/traffic/driver";
import { openHaproxyDriver } from "@understudy/traffic/haproxy";
import type { RuntimeTls } from "@understudy/traffic/haproxy/runtime-address";
import { timed } from "./moment.ts";
import type { PoolReading } from "./reading.ts";

export type OpenTraffic = (pool: PoolSpec) => TrafficDriver | undefined;

/** A balancer in memory lives in another process: there is nothing to read. `tls`: for one across a network. */
export function trafficOpener(tls: RuntimeTls): OpenTraffic {
  return (pool) => {
    switch (pool.driver) {
      case "haproxy":
        return openHaproxyDriver(pool, tls);
      case "memory":
        return undefined;
    }
  };
}

export class PoolReader {
  readonly #driver: TrafficDriver;
  readonly #resource: string;
  /** Until it has answered once, its balancer may be another host's. */
  #isOurs = false;

  constructor(resource: string, driver: TrafficDriver) {
    this.#resource = resource;
    this.#driver = driver;
  }

  async read(): Promise<PoolReading> {
    const { answer: counters, ...moment } = await timed(() => this.#driver.counters());
    this.#isOurs = true;
    return { resource: this.#resource, ...moment, counters };
  }

  /** In place of a reading that did not come: rows of NaN, or nothing at all when the balancer is not here. */
  missing(atMs: number): PoolReading | undefined {
    return this.#isOurs ? { resource: this.#resource, atMs, doubtMs: 0, counters: undefined } : undefined;
  }

  close(): Promise<void> {
    return this.#driver.close();
  }
}
