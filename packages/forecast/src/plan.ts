/**
 * Where the state of one series lies. All state of all series is in six typed arrays (engine.ts); a series is a run of
 * each, and this plan names the places within the run. Nothing is allocated per tick, and a snapshot is a copy of bytes.
 */

/** Samples kept to find and test periods; a power of two. */
export const HISTORY_STEPS = 4096;
/** Longest period that is looked for: two cycles of it fit the history. */
export const PERIOD_MAX_STEPS = 2048;
export const COVARIATES_MAX = 4;
export const BINS = 56;

export const SES_COUNT = 5;
export const TREND_COUNT = 2;
export const LINE_COUNT = 1;
export const MEDIAN_COUNT = 2;
export const OFFSET_COUNT = 3;
/** Candidates for each quantile: fast and slow scale, raw window, season. */
export const CANDIDATES = 4;
export const SCALES = 2;

/** Places of the experts of one horizon; a season's come last. */
export const SEASON_FIRST = 1 + SES_COUNT + TREND_COUNT + LINE_COUNT + MEDIAN_COUNT + 1;
export const EXPERTS = SEASON_FIRST + OFFSET_COUNT;

/** Which of the season's three curves a level starts from. */
export const LOW = 0;
export const MIDDLE = 1;
export const HIGH = 2;

export type Plan = {
  readonly horizons: readonly number[];
  readonly levels: readonly number[];
  /** Index of the level the scorecard looks at. */
  readonly scoredLevel: number;
  readonly covariates: number;
  readonly falseAlarmBudget: number;
  readonly regressors: number;
  /** Numbers of a series in the Float64Array, and where parts begin. */
  readonly numbers: number;
  readonly at: Readonly<Record<NumberPart, number>>;
  /** Numbers of a series in the Float32Array of what waits for its sample, and where parts begin. */
  readonly singles: number;
  readonly in: Readonly<Record<SinglePart, number>>;
  readonly rowWidth: number;
  readonly rows: number;
  readonly slotWidth: number;
  /** First slot of each horizon. */
  readonly firstSlot: readonly number[];
};

type NumberPart =
  | "clock"
  | "smoothers"
  | "season"
  | "rlsMatrix"
  | "rlsWeights"
  | "rlsScale"
  | "covariates"
  | "mixture"
  | "lossScale"
  | "scales"
  | "histogramWeights"
  | "zs"
  | "seasonZs"
  | "candidates"
  | "adaptation"
  | "shifts"
  | "atoms"
  | "scores"
  | "maxMatrix"
  | "maxWeights"
  | "maxScale"
  | "marks"
  | "alarm"
  | "alarmScore";
type SinglePart = "rows" | "slots" | "windows" | "histograms" | "seasonHistograms" | "maxRows" | "alarmFlags";

/** Fields of a row: what was known at a step, the same for all horizons. */
export const ROW = {
  last: 0,
  ses: 1,
  trends: 1 + SES_COUNT,
  lines: 1 + SES_COUNT + 2 * TREND_COUNT,
  medians: 1 + SES_COUNT + 2 * TREND_COUNT + 2 * LINE_COUNT,
  offsets: 1 + SES_COUNT + 2 * TREND_COUNT + 2 * LINE_COUNT + MEDIAN_COUNT,
  windowQuantiles: 1 + SES_COUNT + 2 * TREND_COUNT + 2 * LINE_COUNT + MEDIAN_COUNT + OFFSET_COUNT,
} as const;

/** Fields of a slot: what was forecast at a step for one horizon. */
export const SLOT = {
  rls: 0,
  /** The season's profile at that phase; NaN without a season. */
  middle: 1,
  center: 2,
  scales: 3,
  /** What the season's experts say together, and how far its envelope lies above and below. */
  seasonCenter: 5,
  up: 6,
  down: 7,
  /** What a season's error is measured in; negative where the profile is steep. */
  unit: 8,
  /** How far the highest of the neighbourhood lies above the middle. */
  peak: 9,
  quantiles: 10,
} as const;

/** Views that the maximum within the horizon is foreseen from, and how often it is learnt from one. */
export const MAX_REGRESSORS = 9;
export const MAX_LEARN_EVERY = 3;
/** Past forecasts of the maximum that are kept, and the scores of each. */
export const MARKS = 1024;
export const MARK_SCORES = 2;
export const MEDIAN_WINDOWS = [9, 64] as const;
/** Regressors without covariates: four lags of the residual, the slow level and the level before. */
export const RLS_LAGS = 6;
export const CLOCK_FIELDS = 12;
/** Of the part "smoothers": the last value, levels, trends, and the sums of the line. */
export const SMOOTHERS = 1 + SES_COUNT + 2 * TREND_COUNT + 3 * LINE_COUNT;
/** Of the part "scores" besides one for each level. */
export const SCORE_FIELDS = 6;
export const ALARM_SCORE_FIELDS = 3;
const SCORED_LEVEL = 0.95;

/** Lays out one series. */
export function createPlan({
  horizons,
  levels,
  covariates,
  falseAlarmBudget,
}: {
  horizons: readonly number[];
  levels: readonly number[];
  covariates: number;
  falseAlarmBudget: number;
}): Plan {
  const [count, wide] = [horizons.length, levels.length];
  const regressors = RLS_LAGS + covariates;
  const rows = horizons.at(-1)! + 1;
  const rowWidth = ROW.windowQuantiles + wide + 1 + covariates;
  const slotWidth = SLOT.quantiles + wide;
  const slots = horizons.reduce((sum, steps) => sum + steps, 0);
  const numbers = lay<NumberPart>({
    clock: CLOCK_FIELDS,
    smoothers: SMOOTHERS,
    season: 3 + OFFSET_COUNT,
    rlsMatrix: regressors * regressors,
    rlsWeights: regressors * count,
    rlsScale: 2,
    covariates: 3 * covariates,
    mixture: EXPERTS * count,
    lossScale: count,
    scales: SCALES * count,
    histogramWeights: 2 * SCALES * count,
    zs: SCALES * count * wide,
    seasonZs: 2 * wide + 2 * 2 * 3,
    candidates: CANDIDATES * count * wide,
    adaptation: count * wide,
    shifts: count * wide,
    atoms: 2 * count,
    scores: SCORE_FIELDS + wide,
    maxMatrix: MAX_REGRESSORS * MAX_REGRESSORS,
    maxWeights: MAX_REGRESSORS,
    maxScale: 2,
    marks: 1 + MARK_SCORES,
    alarm: 7,
    alarmScore: ALARM_SCORE_FIELDS,
  });
  const singles = lay<SinglePart>({
    rows: rows * rowWidth,
    slots: slots * slotWidth,
    windows: MEDIAN_WINDOWS.reduce((sum, one) => sum + one, 0),
    histograms: SCALES * count * BINS,
    seasonHistograms: 2 * 3 * BINS,
    maxRows: maximumRows({ rows }) * (MAX_REGRESSORS + 3),
    alarmFlags: rows,
  });
  let slot = 0;
  const firstSlot = horizons.map((steps) => {
    slot += steps;
    return slot - steps;
  });
  return {
    horizons,
    levels,
    scoredLevel: scoredLevel(levels),
    covariates,
    falseAlarmBudget,
    regressors,
    numbers: numbers.total,
    at: numbers.at,
    singles: singles.total,
    in: singles.at,
    rowWidth,
    rows,
    slotWidth,
    firstSlot,
  };
}

/** Forecasts of the maximum that wait for their outcome to be learnt from. */
export function maximumRows({ rows }: Pick<Plan, "rows">): number {
  return Math.ceil(rows / MAX_LEARN_EVERY) + 1;
}

/** The highest level <= 0.95, or the lowest there is. */
function scoredLevel(levels: readonly number[]): number {
  return Math.max(
    0,
    levels.findLastIndex((level) => level <= SCORED_LEVEL),
  );
}

function lay<Part extends string>(sizes: Record<Part, number>): { total: number; at: Record<Part, number> } {
  let total = 0;
  const at = {} as Record<Part, number>;
  for (const part of Object.keys(sizes) as Part[]) {
    at[part] = total;
    total += sizes[part];
  }
  return { total, at };
}
