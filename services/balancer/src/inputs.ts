/** What the balancer hears, in its own words: demand, load, freshness. wire.ts makes them from messages. */

import type { LinkForecast } from "@understudy/model/link-forecast";

/** Offered work of the whole resource, requests per second, whoever serves them. */
export type Demand = { readonly movableRps: number; readonly immovableRps: number };

export type Horizon = {
  readonly aheadMs: number;
  /** One value per level of `Prediction.levels`. */
  readonly totalRps: readonly number[];
};

export type Prediction = {
  readonly resource: string;
  /** False: only `current` and `instanceRps` mean something. */
  readonly ready: boolean;
  readonly stepMs: number;
  readonly levels: readonly number[];
  readonly horizons: readonly Horizon[];
  readonly current: Demand;
  /** What one warm instance carries at its target; 0 when unknown. */
  readonly instanceRps: number;
  readonly bindingSignal: string;
  /** To the hosts of shadows; those that are known well enough. */
  readonly links: readonly LinkForecast[];
  readonly sampledAtMs: number;
};

/** One instance as its own metrics tell; NaN where unknown. */
export type Busy = { readonly instance: string; readonly busyWorkers: number; readonly workers: number };

export type Load = {
  readonly resource: string;
  /** As the load balancer counted arrivals; undefined in a batch of a host that does not read the pool. */
  readonly demand: Demand | undefined;
  readonly busy: readonly Busy[];
  readonly sampledAtMs: number;
};

export type Freshness = {
  readonly resource: string;
  readonly instance: string;
  readonly incarnation: string;
  /** False while it is seeded or cut off. */
  readonly live: boolean;
  readonly lagMs: number;
};

export function totalOf(demand: Demand): number {
  return demand.movableRps + demand.immovableRps;
}

/**
 * The largest demand within `withinMs`, at the lowest level that is at least `quantile` (the highest one when none is);
 * undefined when the forecast has nothing to say.
 */
export function forecastPeak(
  prediction: Prediction | undefined,
  { withinMs, quantile }: { withinMs: number; quantile: number },
): number | undefined {
  if (!prediction?.ready) return undefined;
  const found = prediction.levels.findIndex((level) => level >= quantile - 1e-9);
  const level = found === -1 ? prediction.levels.length - 1 : found;
  // A first horizon beyond the lead time is still the best there is to say about the lead time.
  const reach = Math.max(withinMs, prediction.horizons[0]?.aheadMs ?? 0);
  const values = prediction.horizons
    .filter((horizon) => horizon.aheadMs <= reach)
    .map((horizon) => horizon.totalRps[level])
    .filter((value) => value !== undefined);
  return values.length === 0 ? undefined : Math.max(...values);
}
