/**
 * The links from this host to others: one bucket for each host, shared by all resources that send there, and one for each resource.
 * What goes over a link takes from both. Rates follow the time of day.
 */

import type { LinkSettings } from "@understudy/mirror/limited-transport";
import { allOf, createRateLimit, type RateLimit } from "@understudy/mirror/rate-limit";
import { pause } from "@understudy/model/pause";
import type { Configuration } from "@understudy/model/policy";
import { dscpOf, rateAt } from "./link-rules.ts";

const LOOK_EVERY_MS = 1_000;

export type Links = {
  configure(configuration: Configuration): void;
  /** How a resource's data goes to an address, asked at each connection; undefined: as fast as it can, as on this host itself. */
  of(resource: string, address: string): LinkSettings | undefined;
  /** Follows the schedules. */
  run(signal: AbortSignal): Promise<void>;
};

export function createLinks(self: string, now: () => Date): Links {
  const buckets = new Map<string, RateLimit>();
  let configuration: Configuration = { resources: [], pools: [], hosts: [] };

  /** The same for as long as we run: a link that is open goes on with it. */
  function bucket(key: string): RateLimit {
    const known = buckets.get(key) ?? createRateLimit(undefined);
    buckets.set(key, known);
    return known;
  }

  function setRates(): void {
    const date = now();
    for (const { name, link } of configuration.hosts) bucket(`host ${name}`).setRate(rateAt(link, date));
    for (const { name, link } of configuration.resources)
      bucket(`resource ${name}`).setRate(rateAt(link, date));
  }

  return {
    configure: (next) => {
      configuration = next;
      setRates();
    },
    of: (resource, address) => {
      const host = configuration.hosts.find(({ data }) => data === address);
      if (!host || host.name === self) return undefined;
      const spec = configuration.resources.find(({ name }) => name === resource);
      const dscp = dscpOf(spec?.link, host.link);
      const limit = allOf([bucket(`host ${host.name}`), bucket(`resource ${resource}`)]);
      return { limit, ...(dscp === undefined ? {} : { dscp }) };
    },
    run: async (signal) => {
      while (!signal.aborted) {
        setRates();
        await pause(LOOK_EVERY_MS, signal);
      }
    },
  };
}
