/** From a pool of the configuration to its driver: the one place that knows which drivers there are. */

import type { PoolSpec } from "@understudy/model/policy";
import type { TrafficDriver } from "./driver.ts";
import type { RuntimeTls } from "./haproxy/runtime-address.ts";
import { openHaproxyDriver } from "./haproxy.ts";
import { memoryBalancer, openMemoryDriver } from "./memory.ts";

/** Does not connect before its first call. A `memory` pool is a balancer of this process alone. `tls`: for a load balancer across a network. */
export function openTrafficDriver(pool: PoolSpec, tls?: RuntimeTls): TrafficDriver {
  switch (pool.driver) {
    case "haproxy":
      return openHaproxyDriver(pool, tls);
    case "memory":
      return openMemoryDriver(memoryBalancer({ pool: pool.name, slots: pool.slots }));
  }
}
