/**
 * The offered demand of one resource: what it is asked now, and what it will be asked.
 *
 * One forecaster for reads and writes together, split by the movable part of late, rather than two: capacity is asked for
 * the sum, and quantiles of two forecasts do not add up to a quantile of their sum; both follow the same people, so the
 * part changes slowly while the sum does not.
 */

import type { Alarm } from "@understudy/forecast/alarm";
import {
  createForecaster,
  type Forecast,
  type Forecaster,
  type ForecasterOptions,
} from "@understudy/forecast/forecaster";
import type { ResourceSpec } from "@understudy/model/policy";
import { meanOf } from "./averages.ts";
import type { Row } from "./batch.ts";

/** What is asked "now" is a mean over so long: one tick of 100 ms holds too few requests. */
const CURRENT_MS = 200;
/** How fast the movable part and the size of a transaction follow. */
const PART_TAU_MS = 10_000;
/** A step of which less was seen is left out; the forecaster bridges it. */
const STEP_SEEN_MIN = 1 / 3;
const HORIZONS_MAX = 16;
const NO_ALARM: Alarm = { raised: false, probability: 0, leadSteps: 0, detector: "none" };
const LEVELS = [0.5, 0.9, 0.95, 0.99];

export type Offered = {
  readonly atMs: number;
  readonly intervalMs: number;
  readonly readsPerSecond: number;
  readonly writesPerSecond: number;
  /** Requests and answers together; NaN where unknown. */
  readonly bytesPerSecond: number;
};

export type DemandNow = {
  readonly movableRps: number;
  readonly immovableRps: number;
  readonly transactionBytes: number;
};

export type DemandAhead = {
  /** Time from the newest sample to the beginning of the step that is forecast; 0 when that has begun. */
  readonly aheadMs: number;
  readonly meanRps: number;
  readonly totalRps: readonly number[];
  readonly movableRps: readonly number[];
};

export type DemandView = {
  readonly now: DemandNow;
  readonly ready: boolean;
  readonly levels: readonly number[];
  readonly horizons: readonly DemandAhead[];
  /** Will what is asked exceed what the present instances carry at most? */
  readonly alarm: {
    readonly raised: boolean;
    readonly probability: number;
    readonly leadMs: number;
    readonly detector: string;
  };
  readonly scorecard: Forecast["scorecard"];
};

/** What is kept of a demand from one process to the next. */
export type DemandLearnt = { readonly forecaster: Forecaster; readonly parts: Parts };

export type Demand = {
  /** Takes a sample that is newer than the last one. `carriedRps`: what the present instances carry at most; NaN where unknown. */
  observe(offered: Offered, carriedRps?: number): void;
  /** Undefined before the first sample. */
  view(): DemandView | undefined;
  learnt(): DemandLearnt;
};

type ForecastPolicy = Pick<ResourceSpec["forecast"], "stepMs" | "horizonMs" | "quantile">;

/** Undefined when the balancer could not count arrivals. */
export function offeredFrom(
  row: Row,
  { atMs, intervalMs }: { atMs: number; intervalMs: number },
): Offered | undefined {
  const readsPerSecond = row.value("readsPerSecond");
  const writesPerSecond = row.value("writesPerSecond");
  if (Number.isNaN(readsPerSecond + writesPerSecond)) return undefined;
  const bytesPerSecond = row.value("requestBytesPerSecond") + row.value("responseBytesPerSecond");
  return { atMs, intervalMs, readsPerSecond, writesPerSecond, bytesPerSecond };
}

/** `learnt`: under the same policy. */
export function createDemand(policy: ForecastPolicy, learnt?: DemandLearnt): Demand {
  const options = forecastOptions(policy);
  const levels = options.quantiles;
  const forecaster = learnt?.forecaster ?? createForecaster(options);
  const steps = createSteps(forecaster, { stepMs: policy.stepMs, begun: learnt !== undefined });
  const parts = createParts(learnt?.parts);
  const aheadMs = (ahead: number, newest: Offered) => Math.max(0, steps.beginMs(ahead) - newest.atMs);
  let recent: Offered[] = [];
  let forecast = forecaster.forecast();
  let alarm = NO_ALARM;
  // A restored forecaster speaks of the time before the gap until it has been given a step after it.
  let current = false;

  return {
    observe(offered, carriedRps = Number.NaN) {
      recent = [...recent.filter(({ atMs }) => atMs > offered.atMs - CURRENT_MS), offered];
      parts.add(offered);
      forecaster.setThreshold(carriedRps);
      if (!steps.add(offered)) return;
      forecast = forecaster.forecast();
      alarm = forecaster.alarm();
      current = true;
    },
    view() {
      const newest = recent.at(-1);
      if (!newest) return undefined;
      const movablePart = parts.movable();
      return {
        now: {
          movableRps: meanOf(recent.map(({ readsPerSecond }) => readsPerSecond)),
          immovableRps: meanOf(recent.map(({ writesPerSecond }) => writesPerSecond)),
          transactionBytes: parts.transactionBytes(),
        },
        ready: current && forecast.ready,
        levels,
        horizons: forecast.horizons.map(({ steps: ahead, mean, quantiles }) => ({
          aheadMs: aheadMs(ahead, newest),
          meanRps: mean,
          totalRps: quantiles,
          movableRps: quantiles.map((quantile) => quantile * movablePart),
        })),
        alarm: {
          raised: alarm.raised,
          probability: alarm.probability,
          leadMs: alarm.leadSteps === 0 ? 0 : aheadMs(alarm.leadSteps, newest),
          detector: alarm.detector,
        },
        scorecard: forecast.scorecard,
      };
    },
    learnt: () => ({ forecaster, parts: parts.sums() }),
  };
}

/** All that a forecaster is made from: what it has learnt under others is of no use. */
export function forecastOptions(policy: ForecastPolicy): ForecasterOptions {
  return {
    stepMs: policy.stepMs,
    horizons: horizonSteps(policy),
    quantiles: [...new Set([...LEVELS, policy.quantile])].sort((a, b) => a - b),
  };
}

/** Every step that begins within the horizon, thinned out evenly when there are many. */
export function horizonSteps({ stepMs, horizonMs }: Pick<ForecastPolicy, "stepMs" | "horizonMs">): number[] {
  const count = Math.ceil(horizonMs / stepMs) + 1;
  if (count <= HORIZONS_MAX) return Array.from({ length: count }, (_, i) => i + 1);
  return Array.from(
    { length: HORIZONS_MAX },
    (_, i) => 1 + Math.round((i * (count - 1)) / (HORIZONS_MAX - 1)),
  );
}

/** Means over steps of the forecaster's grid, from samples of a finer one. */
function createSteps(forecaster: Forecaster, { stepMs, begun: before }: { stepMs: number; begun: boolean }) {
  let index = Number.NEGATIVE_INFINITY;
  let weightMs = 0;
  let sum = 0;
  let begun = before;

  function close(): boolean {
    const mean = sum / weightMs;
    // History begins with the first request: before it there was no service, not no demand.
    begun ||= mean > 0;
    if (!begun || !(weightMs >= STEP_SEEN_MIN * stepMs)) return false;
    forecaster.observe((index + 1) * stepMs, mean);
    return true;
  }

  return {
    /** True when a step was completed, so that there is a new forecast. */
    add({ atMs, intervalMs, readsPerSecond, writesPerSecond }: Offered): boolean {
      // A rate is a mean over the interval before it: its middle says which step it belongs to.
      const at = Math.floor((atMs - intervalMs / 2) / stepMs);
      const completed = at !== index && close();
      if (at !== index) {
        index = at;
        weightMs = 0;
        sum = 0;
      }
      weightMs += intervalMs;
      sum += intervalMs * (readsPerSecond + writesPerSecond);
      return completed;
    },
    /** When the step begins that is `ahead` after the last one completed. */
    beginMs: (ahead: number) => (index + ahead - 1) * stepMs,
  };
}

/** Sums that forget, of requests and of bytes; `sized`: requests whose bytes are known. */
export type Parts = {
  readonly reads: number;
  readonly total: number;
  readonly bytes: number;
  readonly sized: number;
};

export const NO_PARTS: Parts = { reads: 0, total: 0, bytes: 0, sized: 0 };

/** Slow means of what a request is like: the part that is movable, and its bytes. */
function createParts(before: Parts = NO_PARTS) {
  let { reads, total, bytes, sized } = before;
  return {
    add({ intervalMs, readsPerSecond, writesPerSecond, bytesPerSecond }: Offered): void {
      const keep = Math.exp(-intervalMs / PART_TAU_MS);
      const rate = readsPerSecond + writesPerSecond;
      reads = keep * reads + readsPerSecond;
      total = keep * total + rate;
      if (Number.isNaN(bytesPerSecond)) return;
      bytes = keep * bytes + bytesPerSecond;
      sized = keep * sized + rate;
    },
    movable: () => (total > 0 ? reads / total : 1),
    transactionBytes: () => (sized > 0 ? bytes / sized : 0),
    sums: (): Parts => ({ reads, total, bytes, sized }),
  };
}
