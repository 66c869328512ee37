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
/** Where levels of 0.5 and above alone are asked for, what lies below this bin counts as in it. */
const BIN_OF_UPPER_HALF = 17;

export const SES_COUNT = 5;
export const TREND_COUNT = 2;
/** What is left of a trend after each further step. */
export const TREND_DAMPINGS = [0.9, 0.97] as const;
export const LINE_COUNT = 1;
export const MEDIAN_COUNT = 2;
export const OFFSET_COUNT = 3;
/** Cycles of the clock, as a day: the longest that are short enough for the history. */
export const CYCLES = 2;
/** Candidates for each quantile: fast and slow scale, raw window, season, and a line through what else is known. */
export const CANDIDATES = 5;
/** What that line looks at. */
export const SIGHTS = 10;
export const SCALES = 2;

/** Places of the experts of one horizon; a season's come last. */
export const EXPERT = {
  last: 0,
  ses: 1,
  trends: 1 + SES_COUNT,
  lines: 1 + SES_COUNT + TREND_COUNT,
  medians: 1 + SES_COUNT + TREND_COUNT + LINE_COUNT,
  rls: 1 + SES_COUNT + TREND_COUNT + LINE_COUNT + MEDIAN_COUNT,
  cycles: 2 + SES_COUNT + TREND_COUNT + LINE_COUNT + MEDIAN_COUNT,
} as const;
export const SEASON_FIRST = EXPERT.rls + 1 + CYCLES;
export const EXPERTS = SEASON_FIRST + OFFSET_COUNT;

/** Which of the season's three curves a level starts from. */
export const LOW = 0;
export const MIDDLE = 1;
export const HIGH = 2;

export type Plan = {
  readonly horizons: readonly number[];
  readonly levels: readonly number[];
  /** Of each level: which of the season's curves it starts from, and the usual pinball loss there, in deviations. */
  readonly curves: readonly number[];
  readonly lossUnits: readonly number[];
  /** Index of the level the scorecard looks at. */
  readonly scoredLevel: number;
  /** Steps of each cycle of the clock, 0 for none. */
  readonly cycles: readonly number[];
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
  readonly slotsWidth: number;
  readonly waitsWidth: number;
  readonly slotWindow: number;
  readonly slotRegressors: number;
  /** Of each horizon: every so many forecasts one is learnt from; the slots; the first of them. */
  readonly strides: readonly number[];
  readonly slotCounts: readonly number[];
  readonly firstSlot: readonly number[];
  /** The first of those that wait for their error, one for each step of the horizon. */
  readonly firstWait: readonly number[];
  /** How many steps' worth of each trend lie ahead of each horizon. */
  readonly reaches: readonly number[];
  /** Bins and curves of the season below the lowest level are not kept. */
  readonly firstBin: number;
  readonly bins: number;
  readonly firstKind: number;
  readonly kinds: number;
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
  | "cycles"
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
type SinglePart =
  | "lineWeights"
  | "row"
  | "waits"
  | "slots"
  | "windows"
  | "histograms"
  | "seasonHistograms"
  | "maxRows"
  | "alarmFlags";

/** Fields of the row: what is known at the newest step, the same for all horizons. */
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
  experts: 0,
  center: EXPERTS,
  scales: EXPERTS + 1,
  /** What the season's experts say together, NaN without a season, and how far its envelope lies above and below. */
  seasonCenter: EXPERTS + 3,
  up: EXPERTS + 4,
  down: EXPERTS + 5,
  /** What a season's error is measured in; negative where the profile is steep. */
  unit: EXPERTS + 6,
  /** How far the highest of the neighbourhood lies above the middle. */
  peak: EXPERTS + 7,
  /** 1 when the sample repeated the one before. */
  repeats: EXPERTS + 8,
  /** A quantile of each level; the raw window's and the regressors follow, at `plan.slotWindow` and `plan.slotRegressors`. */
  /** What the experts but the cycles say together, and how the series changed in each cycle before. */
  others: EXPERTS + 9,
  changes: EXPERTS + 10,
  quantiles: EXPERTS + 10 + CYCLES,
} as const;

/** Forecasts of one horizon that are learnt from wait in about so many slots: neighbours in time say nearly the same. */
const WAITING = 5;
/** Of what waits for its error alone: a center and its quick scale. */
export const WAIT_WIDTH = 2;

/** Views that the maximum within the horizon is foreseen from, and how often it is learnt from one. */
export const MAX_REGRESSORS = 9;
export const MAX_LEARN_EVERY = 3;
/** Past forecasts of the maximum that are kept, and the scores of each. */
export const MARKS = 1024;
export const MARK_SCORES = 2;
/** Scores of an alarm: those of marks, and the value itself, which the history keeps. */
export const ALARM_SCORES = 3;
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
  cycles = [],
}: {
  horizons: readonly number[];
  levels: readonly number[];
  covariates: number;
  falseAlarmBudget: number;
  /** Of the clock, in steps (`cyclesOf`). */
  cycles?: readonly number[];
}): Plan {
  const [count, wide] = [horizons.length, levels.length];
  const regressors = RLS_LAGS + covariates;
  const rows = horizons.at(-1)! + 1;
  const rowWidth = ROW.windowQuantiles + wide + 1 + covariates;
  const slotWindow = SLOT.quantiles + wide;
  const slotRegressors = slotWindow + wide;
  const slotWidth = slotRegressors + regressors;
  const strides = horizons.map((steps) => Math.ceil(steps / WAITING));
  // The newest one lies where the next one to be learnt from will, so that one slot more than wait is enough.
  const slotCounts = horizons.map((steps, h) => Math.ceil((steps - 1) / strides[h]!) + 1);
  const firstBin = levels[0]! < 0.5 ? 0 : BIN_OF_UPPER_HALF;
  const bins = BINS - firstBin;
  const firstKind = levels[0]! < 0.5 ? LOW : MIDDLE;
  const kinds = HIGH + 1 - firstKind;
  const numbers = lay<NumberPart>({
    clock: CLOCK_FIELDS,
    smoothers: SMOOTHERS,
    season: 3 + OFFSET_COUNT,
    rlsMatrix: regressors * regressors,
    rlsWeights: regressors * count,
    rlsScale: 2,
    covariates: 3 * covariates,
    mixture: EXPERTS * count,
    cycles: 2 * CYCLES * count,
    lossScale: count,
    scales: SCALES * count,
    histogramWeights: 2 * SCALES * count,
    zs: SCALES * count * wide,
    seasonZs: 2 * wide + 2 * 2 * kinds,
    candidates: CANDIDATES * count * wide,
    adaptation: count * wide,
    shifts: count * wide,
    atoms: 2 * count,
    scores: SCORE_FIELDS + wide,
    maxMatrix: MAX_REGRESSORS * MAX_REGRESSORS,
    maxWeights: MAX_REGRESSORS,
    maxScale: 2,
    marks: 1 + ALARM_SCORES,
    alarm: 7,
    alarmScore: ALARM_SCORE_FIELDS,
  });
  const singles = lay<SinglePart>({
    lineWeights: SIGHTS * count * wide,
    row: rowWidth,
    waits: WAIT_WIDTH * sum(horizons),
    slots: slotWidth * sum(slotCounts),
    windows: MEDIAN_WINDOWS.reduce((sum, one) => sum + one, 0),
    histograms: SCALES * count * bins,
    seasonHistograms: 2 * kinds * bins,
    maxRows: maximumRows({ rows }) * (MAX_REGRESSORS + 3),
    alarmFlags: rows,
  });
  return {
    horizons,
    levels,
    cycles: Array.from({ length: CYCLES }, (_, c) => cycles[c] ?? 0),
    curves: levels.map(curveOf),
    lossUnits: levels.map(usualLoss),
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
    slotsWidth: slotWidth * sum(slotCounts),
    waitsWidth: WAIT_WIDTH * sum(horizons),
    slotWindow,
    slotRegressors,
    strides,
    slotCounts,
    firstSlot: starts(slotCounts),
    firstWait: starts(horizons),
    reaches: horizons.flatMap((steps) =>
      TREND_DAMPINGS.map((damping) => (damping * (1 - damping ** steps)) / (1 - damping)),
    ),
    firstBin,
    bins,
    firstKind,
    kinds,
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

function curveOf(level: number): number {
  return level > 0.5 ? HIGH : level < 0.5 ? LOW : MIDDLE;
}

/** Density of the standard normal at its own quantile, which (Tukey's lambda) is right to two digits: enough for a unit. */
function usualLoss(level: number): number {
  const z = 4.91 * (level ** 0.14 - (1 - level) ** 0.14);
  return (1.2533 * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0);

/** Where each of several runs begins. */
const starts = (lengths: readonly number[]) => lengths.map((_, i) => sum(lengths.slice(0, i)));

function lay<Part extends string>(sizes: Record<Part, number>): { total: number; at: Record<Part, number> } {
  let total = 0;
  const at = {} as Record<Part, number>;
  for (const part of Object.keys(sizes) as Part[]) {
    at[part] = total;
    total += sizes[part];
  }
  return { total, at };
}
