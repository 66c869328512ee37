/** The load of one demo, from its options: phases, demand curve and arrivals. Loader and report both come to the same. */

import { readFileSync } from "node:fs";
import {
  type Arrival,
  arrivals,
  baseAfter,
  type Curve,
  type DemandKind,
  demandCurve,
  type Phases,
  parseTrace,
  traceCurve,
} from "./demand.ts";

const LEARNING_MAX_MS = 60_000;
const LEARNING_PART = 1 / 3;
const FAILOVER_MS = 20_000;

export type DemandOptions = {
  readonly demand: DemandKind;
  /** CSV file instead of a made demand; empty: none. */
  readonly traceFile: string;
  readonly speed: number;
  readonly seed: number;
  readonly jitterMs: number;
  /** Requests per second that one instance can do. */
  readonly ratePerUnit: number;
  /** Learning and scored part together. */
  readonly durationMs: number;
};

export type LoadPlan = {
  readonly phases: Phases;
  readonly lengthMs: number;
  readonly curve: Curve;
  draw(): Arrival[];
};

/** Throws a RangeError when the trace cannot be used. */
export function planLoad(options: DemandOptions): LoadPlan {
  const learningMs = Math.min(LEARNING_MAX_MS, options.durationMs * LEARNING_PART);
  const phases = { learningMs, scoredMs: options.durationMs - learningMs, failoverMs: FAILOVER_MS };
  const lengthMs = options.durationMs + FAILOVER_MS;
  const curve = options.traceFile
    ? baseAfter(options.durationMs, curveOfFile(options))
    : demandCurve(options.demand, { phases, jitterMs: options.jitterMs, seed: options.seed });
  const { ratePerUnit, seed } = options;
  return { phases, lengthMs, curve, draw: () => arrivals(curve, { ratePerUnit, lengthMs, seed }) };
}

function curveOfFile({ traceFile, speed, durationMs }: DemandOptions): Curve {
  try {
    return traceCurve(parseTrace(readFileSync(traceFile, "utf8")), { speed, lengthMs: durationMs });
  } catch (error) {
    throw new RangeError(`trace ${traceFile}: ${(error as Error).message}`, { cause: error });
  }
}
