/**
 * One series, online: observe samples, forecast quantiles for several horizons, raise an alarm before a threshold is
 * exceeded. The interface is fixed; others program against it.
 *
 * It is the engine for many series (engine.ts) with one in it. A step costs a fixed amount of work and memory, whatever
 * the input; all state lies in a few arrays, so that a snapshot is a copy of bytes.
 */

import { type Alarm, readAlarm } from "./alarm.ts";
import { type AlarmScores, readAlarmScores } from "./alarm-score.ts";
import { cyclesOf } from "./cycles.ts";
import { meanOf, quantileOf, startSeries } from "./engine.ts";
import { ForecastError } from "./error.ts";
import { gapStepsMax } from "./gap.ts";
import { observeSample } from "./grid.ts";
import { COVARIATES_MAX, createPlan } from "./plan.ts";
import { readScores, type Scores } from "./scores.ts";
import { seasonPeriod, seasonSteps } from "./season.ts";
import { readSnapshot, writeSnapshot } from "./snapshot.ts";
import { CLOCK, clock, createState, type State, setClock } from "./state.ts";

export { GAP_CYCLES_MAX, GAP_STEPS_MAX } from "./gap.ts";
export { LATE_IN_ROW_MAX, VALUE_MAX } from "./grid.ts";

export type ForecasterOptions = {
  readonly stepMs: number;
  /** In steps, ascending. */
  readonly horizons: readonly number[];
  /** Levels in (0, 1), ascending. */
  readonly quantiles: readonly number[];
  /** Names of further numbers that come with each sample and may tell what the next ones will be. */
  readonly covariates?: readonly string[];
  /** Share of quiet steps in which the alarm may stand. */
  readonly falseAlarmBudget?: number;
};

export type HorizonForecast = {
  readonly steps: number;
  readonly mean: number;
  /** One value per level, ascending. */
  readonly quantiles: readonly number[];
};

export type ForecastScorecard = Scores &
  AlarmScores & {
    /** Period found in the series, in steps; 0 when none. */
    readonly periodSteps: number;
    /** After a longer time without samples, in steps, all that was learnt starts anew. */
    readonly gapStepsMax: number;
    /** Samples that were late, repeated or not finite: counted, never thrown on. */
    readonly refused: number;
  };

export type Forecast = {
  /** False during warm-up; the numbers are then the best guess so far. */
  readonly ready: boolean;
  readonly horizons: readonly HorizonForecast[];
  readonly scorecard: ForecastScorecard;
};

export interface Forecaster {
  /** One sample; gaps are filled, repeats, late and non-finite samples refused and counted. Covariates in order of their names. */
  observe(atMs: number, value: number, covariates?: readonly number[]): void;
  forecast(): Forecast;
  /** The value that must not be exceeded; NaN for none. */
  setThreshold(capacity: number): void;
  /** Whether the value will exceed the threshold within the longest horizon. */
  alarm(): Alarm;
  snapshot(): Uint8Array;
}

const WARM_UP_STEPS = 16;
const BUDGET_DEFAULT = 0.01;

/** Throws a RangeError when the options make no sense; nothing else ever throws. */
export function createForecaster(options: ForecasterOptions): Forecaster {
  checkOptions(options);
  const state = stateFor(options);
  startSeries(state, 0);
  return forecasterOn(state, options);
}

/** The forecaster a snapshot was made of. Throws a ForecastError that says what is wrong with the bytes. */
export function restoreForecaster(bytes: Uint8Array): Forecaster {
  const { options, fill } = readSnapshot(bytes);
  const checked = options as ForecasterOptions;
  try {
    checkOptions(checked);
  } catch (cause) {
    throw new ForecastError("snapshot_corrupt", `snapshot's options make no sense: ${String(cause)}`);
  }
  const state = stateFor(checked);
  fill(state);
  return forecasterOn(state, checked);
}

function stateFor({ stepMs, horizons, quantiles, covariates, falseAlarmBudget }: ForecasterOptions): State {
  return createState(
    createPlan({
      horizons,
      levels: quantiles,
      covariates: covariates?.length ?? 0,
      falseAlarmBudget: falseAlarmBudget ?? BUDGET_DEFAULT,
      cycles: cyclesOf(stepMs),
    }),
    1,
  );
}

function forecasterOn(state: State, options: ForecasterOptions): Forecaster {
  const { stepMs, horizons, quantiles } = options;
  return {
    observe: (atMs, value, covariates) =>
      observeSample(state, 0, { stepMs, sample: { atMs, value, covariates } }),
    forecast: () => ({
      ready: knownSteps(state) >= WARM_UP_STEPS + horizons.at(-1)!,
      horizons: horizons.map((steps, h) => ({
        steps,
        mean: meanOf(state, 0, h),
        quantiles: quantiles.map((_, q) => quantileOf(state, 0, { h, q })),
      })),
      scorecard: {
        ...readScores(state, 0),
        ...readAlarmScores(state, 0),
        periodSteps: seasonPeriod(state, 0),
        gapStepsMax: gapStepsMax(state, 0),
        refused: clock(state, 0, CLOCK.refused),
      },
    }),
    setThreshold: (capacity) => setClock(state, 0, CLOCK.threshold, capacity),
    alarm: () => readAlarm(state, 0),
    snapshot: () => writeSnapshot(state, options),
  };
}

/** A season that outlived a gap is known for longer than the steps after it. */
function knownSteps(state: State): number {
  return Math.max(clock(state, 0, CLOCK.steps), seasonSteps(state, 0));
}

function checkOptions({
  stepMs,
  horizons,
  quantiles,
  covariates,
  falseAlarmBudget,
}: ForecasterOptions): void {
  if (!(stepMs > 0)) throw new RangeError(`stepMs ${stepMs} must be above 0`);
  if (
    horizons.length === 0 ||
    !horizons.every((steps, i) => Number.isInteger(steps) && steps > (horizons[i - 1] ?? 0))
  ) {
    throw new RangeError(`horizons ${horizons} must be whole steps, ascending`);
  }
  if (
    quantiles.length === 0 ||
    !quantiles.every((level, i) => level > (quantiles[i - 1] ?? 0) && level < 1)
  ) {
    throw new RangeError(`quantiles ${quantiles} must lie in (0, 1), ascending`);
  }
  if ((covariates?.length ?? 0) > COVARIATES_MAX) {
    throw new RangeError(`covariates ${covariates} must be at most ${COVARIATES_MAX}`);
  }
  const budget = falseAlarmBudget ?? BUDGET_DEFAULT;
  if (!(budget > 0 && budget < 1)) throw new RangeError(`falseAlarmBudget ${budget} must lie in (0, 1)`);
}
