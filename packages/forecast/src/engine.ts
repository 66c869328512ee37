/**
 * What happens at one step of one series: score the forecasts that were made for it, learn, reconsider the season, make
 * the next forecasts. Samples come one per step; forecaster.ts makes them so.
 */

import { createHistory, type History } from "./history.ts";
import { createHorizon, type Horizon } from "./horizon.ts";
import { believableBelow, createPeriodSearch, type PeriodSearch, periodWindow } from "./period.ts";
import type { Scores } from "./scores.ts";
import { createSeason, type Season } from "./season.ts";
import { createSmoothers, type Smoothers } from "./smoothers.ts";

/** A season is dropped when its loss over a cycle is not below this part of that of the last value or a constant. */
const KEEP_BELOW = 0.65;
/** A first season needs one cycle that repeats; after each that had to be dropped, one more, up to this many. */
const PROOF_CYCLES_MAX = 4;
/** Another period takes its place when its loss over the last cycles is below this part of the present one's. */
const REPLACE_BELOW = 0.93;
const REPLACE_CYCLES = 4;
/** Memory of the usual change, and the least it can be, by itself and as a part of the value. */
const NOISE_STEPS = 100;
const NOISE_MIN = 1e-9;
const NOISE_PART_MIN = 1e-6;

export type Engine = {
  readonly history: History;
  readonly search: PeriodSearch;
  readonly smoothers: Smoothers;
  readonly horizons: readonly Horizon[];
  season: Season | undefined;
  /** Steps since a season was found; not since its period was corrected. */
  seasonAge: number;
  /** Seasons that were believed and had to be dropped: two bursts always have a period, three seldom by chance. */
  seasonsDropped: number;
  /** Usual change from one step to the next; NaN until there was one. */
  noise: number;
};

export function createEngine(horizons: readonly number[], quantiles: readonly number[]): Engine {
  const history = createHistory();
  return {
    history,
    search: createPeriodSearch(history),
    smoothers: createSmoothers(horizons),
    horizons: horizons.map((steps) => createHorizon(steps, quantiles)),
    season: undefined,
    seasonAge: 0,
    seasonsDropped: 0,
    noise: Number.NaN,
  };
}

export function take(engine: Engine, value: number, scores: Scores): void {
  const { history, horizons, smoothers } = engine;
  for (const horizon of horizons) {
    const outcome = horizon.learn(value);
    if (outcome) scores.add(outcome);
  }
  learnNoise(engine, value);
  history.push(value);
  smoothers.observe(value);
  engine.season?.observe(value);
  engine.seasonAge += 1;
  reconsiderSeason(engine);
  for (let index = 0; index < horizons.length; index += 1) predict(engine, index, value);
}

function learnNoise(engine: Engine, value: number): void {
  const before = engine.history.at(0);
  if (Number.isNaN(before)) return;
  const steps = Math.min(engine.history.length(), NOISE_STEPS);
  const known = Number.isNaN(engine.noise) ? 0 : engine.noise;
  const noise = known + (Math.abs(value - before) - known) / steps;
  engine.noise = Math.max(noise, NOISE_MIN, NOISE_PART_MIN * Math.abs(value));
}

/** A step without a sample: the phase moves on, the last value stands in where one is needed, nothing is learnt. */
export function skip(engine: Engine, lastValue: number): void {
  engine.history.push(lastValue);
  engine.season?.skip();
  engine.seasonAge += 1;
  for (const horizon of engine.horizons) horizon.skip();
}

function predict({ horizons, smoothers, season, noise }: Engine, index: number, last: number): void {
  horizons[index]!.predict({ last, noise, season, smoothers: (into) => smoothers.forecast(index, into, 0) });
}

function reconsiderSeason(engine: Engine): void {
  const candidate = engine.search.step();
  if (candidate === undefined) return;
  const { history, horizons, season } = engine;
  if (!season) {
    const cycles = Math.min(PROOF_CYCLES_MAX, 1 + engine.seasonsDropped);
    if (candidate > 0 && isWorthIt(engine, candidate, { cycles, below: believableBelow })) {
      engine.season = createSeason(candidate, history);
      engine.seasonAge = 0;
      for (const horizon of horizons) horizon.seat(candidate, history);
      seedScores(engine, false);
    }
  } else if (!isWorthIt(engine, season.period, { cycles: 1, below: () => KEEP_BELOW })) {
    engine.season = undefined;
    engine.seasonsDropped += 1;
  } else if (candidate > 0 && isBetter(history, candidate, season.period)) {
    engine.season = createSeason(candidate, history);
    seedScores(engine, true);
  } else if (engine.seasonAge <= season.period) {
    // The first seeds compare with a cycle of which only a part was seen: make them again until one is complete.
    seedScores(engine, false);
  }
}

function seedScores({ history, horizons, season, noise }: Engine, corrected: boolean): void {
  if (season) for (const horizon of horizons) horizon.seed(season.period, history, { noise, corrected });
}

/** Whether a season of this period would have beaten a constant, and the last value at the longest horizon. */
function isWorthIt(
  { history, horizons }: Engine,
  period: number,
  { cycles, below }: { cycles: number; below: (window: number) => number },
): boolean {
  const steps = horizons.at(-1)!.steps;
  const whole = (cycles - 1) * period + periodWindow(period, history.length() - (cycles - 1) * period);
  const window = Math.min(whole, history.length() - steps);
  const others = Math.min(history.change(steps, window), history.spread(window));
  return history.change(period, window) < below(window) * others;
}

function isBetter(history: History, candidate: number, present: number): boolean {
  const longer = Math.max(candidate, present);
  const window = Math.min(history.length() - longer, REPLACE_CYCLES * longer);
  return history.change(candidate, window) < REPLACE_BELOW * history.change(present, window);
}
