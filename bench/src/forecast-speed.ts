/**
 * What the forecast costs: time per series and tick with all horizons, quantiles and the alarm; bytes of state; and how
 * soon a step nobody can foresee is decided.
 */

import { LEVELS } from "@understudy/forecast/backtest";
import { cyclesOf } from "@understudy/forecast/cycles";
import { startSeries, take } from "@understudy/forecast/engine";
import { createForecaster } from "@understudy/forecast/forecaster";
import { createPlan } from "@understudy/forecast/plan";
import { CLOCK, createState, type State, setClock, stateBytes } from "@understudy/forecast/state";
import { type Random, seededRandom } from "@understudy/testkit/random";
import { HORIZONS } from "./forecast-scores.ts";

const SERIES = 500;
const TICKS = 600;
/** Ticks before the clock is looked at: the compiler is warm and the windows are full. */
const TICKS_BEFORE = 300;
const STEP_RUNS = 400;
const SAMPLE_MS = 100;
const NOISE = 4;
const BASE = 100;
const STEP_NOISES = 8;
const QUIET_SAMPLES = 600;

export function measureSpeed() {
  return { ...measureTicks(), ...measureStep() };
}

function measureTicks() {
  const plan = createPlan({
    horizons: HORIZONS,
    levels: LEVELS,
    covariates: 0,
    falseAlarmBudget: 0.01,
    cycles: cyclesOf(SAMPLE_MS),
  });
  const state = createState(plan, SERIES);
  const random = seededRandom(1);
  for (let series = 0; series < SERIES; series += 1) {
    startSeries(state, series);
    setClock(state, series, CLOCK.threshold, BASE + 30);
  }
  for (let tick = 0; tick < TICKS_BEFORE; tick += 1) tickAll(state, tick, random);
  const began = process.cpuUsage();
  for (let tick = TICKS_BEFORE; tick < TICKS_BEFORE + TICKS; tick += 1) tickAll(state, tick, random);
  const { user, system } = process.cpuUsage(began);
  return { usPerTick: (user + system) / (TICKS * SERIES), ...stateBytes(plan) };
}

/** Half of the series have a period; all have noise. */
function tickAll(state: State, tick: number, random: Random): void {
  for (let series = 0; series < SERIES; series += 1) {
    const period = 20 + series;
    const wave = series % 2 === 0 ? 20 * Math.sin((2 * Math.PI * tick) / period) : 0;
    take(state, series, BASE + wave + NOISE * random.normal());
  }
}

/** Time from the onset of a step to the sample after which the alarm stands; samples are means over their interval. */
function measureStep() {
  const random = seededRandom(2);
  const delays = Array.from({ length: STEP_RUNS }, () => delayOfStep(random)).sort((a, b) => a - b);
  const at = (share: number) => delays[Math.min(delays.length - 1, Math.floor(share * delays.length))]!;
  return { stepMsP50: at(0.5), stepMsP99: at(0.99) };
}

function delayOfStep(random: Random): number {
  const forecaster = createForecaster({ stepMs: SAMPLE_MS, horizons: HORIZONS, quantiles: LEVELS });
  forecaster.setThreshold(BASE + (STEP_NOISES / 2) * NOISE);
  const onset = random.next();
  for (let sample = 0; ; sample += 1) {
    const part = sample < QUIET_SAMPLES ? 0 : sample === QUIET_SAMPLES ? 1 - onset : 1;
    forecaster.observe((sample + 1) * SAMPLE_MS, BASE + NOISE * (STEP_NOISES * part + random.normal()));
    if (sample >= QUIET_SAMPLES && forecaster.alarm().raised)
      return (sample + 1 - QUIET_SAMPLES - onset) * SAMPLE_MS;
  }
}
