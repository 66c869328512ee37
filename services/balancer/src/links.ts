/**
 * What the links to the hosts of shadows add to a lead time. Both are read at a quantile that is seldom exceeded, of the
 * worst link that the resource uses; nothing known adds nothing, and each addition has a bound: a forecast may make us act
 * too early by so much and no more.
 */

import type { LinkForecast } from "@understudy/model/link-forecast";

const LEVEL = 0.95;
/** Beyond it a link is as good as cut off, and staleness takes its shadows out of the reads. */
export const LINK_LEAD_MAX_MS = 2_000;
/** A longer copy is not waited for: no forecast of demand is worth much so far ahead. */
export const SEED_LEAD_MAX_MS = 600_000;
/** Least time until TCP sends a lost segment again: 1 s by RFC 6298, section 2.4; Linux takes 200 ms. */
const RETRANSMIT_MS = 200;

/** What reaching a shadow costs on top of the shift itself; at most LINK_LEAD_MAX_MS. */
export function linkLeadMs(links: readonly LinkForecast[], withinMs: number): number {
  return Math.min(LINK_LEAD_MAX_MS, Math.max(0, ...links.map((link) => delayMs(link, withinMs))));
}

function delayMs({ levels, horizons }: LinkForecast, withinMs: number): number {
  const found = levels.findIndex((level) => level >= LEVEL - 1e-9);
  const level = found === -1 ? levels.length - 1 : found;
  const reach = Math.max(withinMs, horizons[0]?.aheadMs ?? 0);
  const delays = horizons
    .filter(({ aheadMs }) => aheadMs <= reach)
    .map(
      ({ roundTripMs, loss }) => roundTripMs[level]! + retransmissionMs(loss[level]!, roundTripMs[level]!),
    );
  return Math.max(0, ...delays);
}

/**
 * When each try is lost with probability p, 1 / (1 - p) tries are made until one arrives (geometric distribution): all but
 * the last of them, p / (1 - p), each cost a timeout. That the timeout doubles each time is left out.
 */
function retransmissionMs(loss: number, roundTripMs: number): number {
  return (loss / (1 - loss)) * Math.max(RETRANSMIT_MS, roundTripMs);
}

/** How long a first copy of the state takes over the slowest link; 0: not known; at most SEED_LEAD_MAX_MS. */
export function foreseenSeedMs(links: readonly LinkForecast[]): number {
  return Math.min(SEED_LEAD_MAX_MS, Math.max(0, ...links.map(({ seedMs }) => seedMs)));
}
