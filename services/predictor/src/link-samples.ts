/** The links of a MetricBatch, or the reason why they cannot be used. NaN is a round trip or loss that was not measured. */

import { isLabel } from "@understudy/model/names";
import type { LinkSample as WireLink } from "@understudy/wire/gen/metrics";

/** One per host of the configuration. */
const LINKS_MAX = 1_000;
/** The collector gives a probe up long before. */
const ROUND_TRIP_MAX_MS = 60_000;

export type LinkSample = Pick<WireLink, "toHost" | "roundTripMs" | "loss">;

export function badLinks(links: readonly LinkSample[]): string | undefined {
  if (links.length > LINKS_MAX) return `${links.length} links, at most ${LINKS_MAX}`;
  const seen = new Set<string>();
  for (const { toHost, roundTripMs, loss } of links) {
    if (!isLabel(toHost)) return `link to "${toHost.slice(0, 80)}" is not named by a DNS label`;
    if (seen.has(toHost)) return `link to ${toHost} is there twice`;
    seen.add(toHost);
    if (isImpossible(roundTripMs, ROUND_TRIP_MAX_MS))
      return `link to ${toHost}: roundTripMs is ${roundTripMs}`;
    if (isImpossible(loss, 1)) return `link to ${toHost}: loss is ${loss}`;
  }
  return undefined;
}

function isImpossible(value: number, most: number): boolean {
  return !Number.isNaN(value) && !(value >= 0 && value <= most);
}
