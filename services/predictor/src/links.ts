/**
 * What the links from a primary's host to those of its shadows will be like: round trip and loss, as the collector there
 * probes them each second, and what copies of a state move (copying.ts). Only links that some resource uses are forecast:
 * n hosts have n² of them, and nearly all carry nothing of ours.
 */

import { createForecaster } from "@understudy/forecast/forecaster";
import type { Roles } from "@understudy/model/instance";
import type { LinkForecast } from "@understudy/model/link-forecast";
import type { LinkSample } from "./link-samples.ts";

/** One probe is made in this time; the same one comes in ten batches. */
const STEP_MS = 1_000;
const HORIZONS = [1, 5];
const LEVELS = [0.05, 0.5, 0.95];
/** A link of which nothing was heard for so long is left out. */
const STALE_MS = 5_000;
/** About 100 KB each. The one that was used the longest ago gives way. */
const LINKS_MAX = 512;
const LINKS_OF_RESOURCE_MAX = 32;
const RATE_MAX = 1e13;
/** Whatever the quotient says: a day is as good as never. */
const SEED_MAX_MS = 24 * 3600 * 1000;

type Ends = { readonly fromHost: string; readonly toHost: string };

type LinkAhead = Pick<LinkForecast, "horizons" | "bytesPerSecond">;

export type Link = {
  /** `atMs`: on the clock of the host that probes. */
  probed(sample: LinkSample, times: { atMs: number; nowMs: number }): void;
  /** What one copy moved; above 0. */
  copied(bytesPerSecond: number): void;
  /** Undefined while it is not known well enough, and when it was silent. */
  view(nowMs: number): LinkAhead | undefined;
};

/** By their two ends; what each has learnt is updated in place. */
export type Links = ReadonlyMap<string, Link>;

export function createLink(): Link {
  const options = { stepMs: STEP_MS, horizons: HORIZONS, quantiles: LEVELS };
  const [roundTrip, loss] = [createForecaster(options), createForecaster(options)];
  // Its step is one measurement, whenever that comes; in logarithms, for a rate halves or doubles and is never below 0.
  const rate = createForecaster({ stepMs: 1, horizons: [1], quantiles: LEVELS });
  let [step, heardMs, copies] = [Number.NaN, Number.NEGATIVE_INFINITY, 0];

  return {
    probed(sample, { atMs, nowMs }) {
      // Nothing was probed yet.
      if (Number.isNaN(sample.loss)) return;
      heardMs = nowMs;
      const at = Math.floor(atMs / STEP_MS);
      if (at === step) return;
      step = at;
      loss.observe(at * STEP_MS, sample.loss);
      // NaN when the last probes were all lost: that is a gap in it.
      roundTrip.observe(at * STEP_MS, sample.roundTripMs);
    },
    copied(bytesPerSecond) {
      copies += 1;
      rate.observe(copies, Math.log(bytesPerSecond));
    },
    view(nowMs) {
      if (nowMs - heardMs > STALE_MS) return undefined;
      const [trips, losses, rates] = [roundTrip.forecast(), loss.forecast(), rate.forecast()];
      if (!trips.ready || !losses.ready) return undefined;
      return {
        horizons: trips.horizons.map(({ steps, quantiles }, index) => ({
          aheadMs: steps * STEP_MS,
          roundTripMs: quantiles,
          loss: losses.horizons[index]!.quantiles.map((value) => Math.min(1, value)),
        })),
        bytesPerSecond: rates.ready
          ? rates.horizons[0]!.quantiles.map((value) => Math.min(RATE_MAX, Math.exp(value)))
          : [],
      };
    },
  };
}

/** From the primary's host to each that has shadows; none while nobody is primary. */
function endsOf({ primary, instances }: Roles): readonly Ends[] {
  const fromHost = instances.find(({ name }) => name === primary)?.host;
  if (fromHost === undefined) return [];
  const shadows = instances.filter(({ role, phase }) => role === "shadow" && phase !== "gone");
  const hosts = [...new Set(shadows.map(({ host }) => host))];
  return hosts.slice(0, LINKS_OF_RESOURCE_MAX).map((toHost) => ({ fromHost, toHost }));
}

function keyOf({ fromHost, toHost }: Ends): string {
  return `${fromHost} ${toHost}`;
}

/** Begins to look at the links that a resource uses now. */
export function watchLinks(links: Links, roles: Roles): Links {
  const next = new Map(links);
  for (const key of endsOf(roles).map(keyOf)) {
    const link = next.get(key) ?? createLink();
    next.delete(key);
    next.set(key, link);
  }
  return next.size <= LINKS_MAX ? next : new Map([...next].slice(-LINKS_MAX));
}

export function observeProbes(
  links: Links,
  { host: fromHost, atMs, links: samples }: { host: string; atMs: number; links: readonly LinkSample[] },
  nowMs: number,
): void {
  for (const sample of samples)
    links.get(keyOf({ fromHost, toHost: sample.toHost }))?.probed(sample, { atMs, nowMs });
}

/** A copy to this instance moved so much. */
export function observeCopy(
  links: Links,
  { primary, instances }: Roles,
  { instance, bytesPerSecond }: { instance: string; bytesPerSecond: number },
): void {
  const hostOf = (wanted: string) => instances.find(({ name }) => name === wanted)?.host ?? "";
  links.get(keyOf({ fromHost: hostOf(primary), toHost: hostOf(instance) }))?.copied(bytesPerSecond);
}

export function viewLinks(
  links: Links,
  roles: Roles | undefined,
  { stateBytes, nowMs }: { stateBytes: number; nowMs: number },
): readonly LinkForecast[] {
  return (roles ? endsOf(roles) : []).flatMap((ends) => {
    const ahead = links.get(keyOf(ends))?.view(nowMs);
    if (!ahead) return [];
    return [{ ...ends, levels: LEVELS, ...ahead, seedMs: seedMs(ahead.bytesPerSecond[0], stateBytes) }];
  });
}

function seedMs(bytesPerSecond: number | undefined, stateBytes: number): number {
  if (bytesPerSecond === undefined || stateBytes === 0) return 0;
  return Math.min(SEED_MAX_MS, (1_000 * stateBytes) / bytesPerSecond);
}
