/**
 * The state of all series of one engine: a few typed arrays, in which a series is a run of each. Made once; nothing is
 * allocated per tick. Working memory that holds nothing from one tick to the next is shared by all series.
 */

import { createExcitation, type Excitation } from "./least-squares.ts";
import { EXPERTS, HISTORY_STEPS, MARK_SCORES, MARKS, PERIOD_MAX_STEPS, type Plan } from "./plan.ts";

export type State = {
  readonly plan: Plan;
  readonly series: number;
  readonly numbers: Float64Array;
  readonly singles: Float32Array;
  /** Rings that periods are found in and profiles: the slow part of the state. */
  readonly history: Float32Array;
  readonly profiles: Float32Array;
  /** What was foreseen of the maximum at past steps: its unit, and scores in 1/256 of it; see alarm-limits.ts. */
  readonly markUnits: Float32Array;
  readonly markScores: Int16Array;
  /** What the experts of one horizon say, and after them what they say together. */
  readonly experts: Float64Array;
  readonly excitation: Excitation;
  readonly levels: Float64Array;
};

/** Numbers that belong to time, by their place in the part "clock". */
export const CLOCK = {
  lastMs: 0,
  lastValue: 1,
  lateInRow: 2,
  refused: 3,
  /** Steps, with or without a sample, since the start or the last reset. */
  steps: 4,
  samples: 5,
  nextScan: 6,
  /** 1 when a sample was not a whole number, was negative. */
  fractional: 7,
  negative: 8,
  /** Usual change from one step to the next. */
  noise: 9,
  threshold: 10,
} as const;

export function createState(plan: Plan, series: number): State {
  const state: State = {
    plan,
    series,
    numbers: new Float64Array(series * plan.numbers),
    singles: new Float32Array(series * plan.singles),
    history: new Float32Array(series * HISTORY_STEPS),
    profiles: new Float32Array(series * PERIOD_MAX_STEPS),
    markUnits: new Float32Array(series * MARKS),
    markScores: new Int16Array(series * MARKS * MARK_SCORES),
    experts: new Float64Array(EXPERTS + 1),
    excitation: createExcitation(plan.regressors),
    levels: new Float64Array(plan.levels.length),
  };
  return state;
}

export function clock(state: State, series: number, field: number): number {
  return state.numbers[series * state.plan.numbers + field]!;
}

export function setClock(state: State, series: number, field: number, value: number): void {
  state.numbers[series * state.plan.numbers + field] = value;
}

/** Bytes of one series: what a tick works on, and the rings and profiles that periods are found in. */
export function stateBytes(plan: Plan): { bytesPerSeries: number; ringBytesPerSeries: number } {
  return {
    bytesPerSeries:
      plan.numbers * Float64Array.BYTES_PER_ELEMENT + plan.singles * Float32Array.BYTES_PER_ELEMENT,
    ringBytesPerSeries:
      (HISTORY_STEPS + PERIOD_MAX_STEPS + MARKS) * Float32Array.BYTES_PER_ELEMENT +
      MARKS * MARK_SCORES * Int16Array.BYTES_PER_ELEMENT,
  };
}
