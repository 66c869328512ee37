/**
 * Chooses the reactive opponent: simulates the demo's bursts over its target and hold, prints what each setting costs
 * and harms, and takes the one with the fewest overload seconds among those that cost at most 5 % more than a good
 * forecast. docs/policies.md states the outcome.
 */

import { type Arrival, arrivals, demandCurve } from "@understudy/cli/demo/demand";
import type { BenchOptions, BenchResult } from "./main.ts";
import {
  always,
  foreseeing,
  type Outcome,
  reactive,
  type Scaler,
  SHADOWS_MAX,
  simulate,
} from "./reactive-simulation.ts";

const TARGETS = [0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9] as const;
const HOLDS_MS = [0, 2_000, 5_000, 8_000, 12_000, 15_000, 20_000, 25_000, 30_000] as const;
const PHASES = { learningMs: 60_000, scoredMs: 120_000, failoverMs: 0 };
const RATE_PER_UNIT = 200;
const JITTER_MS = 300;
const COST_SLACK = 1.05;
/** What the balancer aims at, how early a shadow must be asked for, and the margin of a 0.95 quantile. */
const FORESEEING = { aheadMs: 5_000, holdMs: 2_000, target: 0.9, margin: 1.08 };

type Setting = { readonly target: number; readonly holdMs: number };
type Measured = Setting & Outcome;

type Run = {
  readonly seed: number;
  readonly arrivals: readonly Arrival[];
  readonly curve: (atMs: number) => number;
};

export async function run(options: BenchOptions): Promise<BenchResult> {
  const runs = Array.from({ length: Number(options.get("seeds") ?? 5) }, (_, index) => drawRun(index + 1));
  const settings = TARGETS.flatMap((target) => HOLDS_MS.map((holdMs) => ({ target, holdMs })));
  const measured = settings.map((setting) => ({ ...setting, ...mean(runs, () => reactive(setting)) }));
  const predictive = mean(runs, ({ curve }) => foreseeing(curve, FORESEEING));
  // What the predictive policy really costs, when that was measured; the simulated forecast otherwise.
  const costSeconds = Number(options.get("cost") ?? predictive.shadowSeconds);
  const affordable = measured.filter((one) => one.shadowSeconds <= costSeconds * COST_SLACK);
  const chosen = affordable.reduce((best, next) => (isBetter(next, best) ? next : best));
  if (!options.has("json")) console.log(table(measured, chosen));
  return {
    seeds: runs.length,
    costSeconds,
    chosen,
    neighbours: neighbours(measured, chosen),
    bestAtAnyCost: measured.reduce((best, next) => (isBetter(next, best) ? next : best)),
    foreseeing: predictive,
    static3: mean(runs, () => always(4)),
    static4: mean(runs, () => always(1 + SHADOWS_MAX)),
    none: mean(runs, () => always(2)),
  };
}

function drawRun(seed: number): Run {
  const curve = demandCurve("bursts", { phases: PHASES, jitterMs: JITTER_MS, seed });
  const lengthMs = PHASES.learningMs + PHASES.scoredMs;
  return { seed, curve, arrivals: arrivals(curve, { ratePerUnit: RATE_PER_UNIT, lengthMs, seed }) };
}

function mean(runs: readonly Run[], scalerOf: (run: Run) => Scaler): Outcome {
  const outcomes = runs.map((one) =>
    simulate(one.arrivals, scalerOf(one), { phases: PHASES, seed: one.seed }),
  );
  const average = (of: (outcome: Outcome) => number) =>
    Number((outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / outcomes.length).toFixed(1));
  return {
    overloadSeconds: average((o) => o.overloadSeconds),
    shadowSeconds: average((o) => o.shadowSeconds),
  };
}

function isBetter(one: Outcome, other: Outcome): boolean {
  return (
    one.overloadSeconds < other.overloadSeconds ||
    (one.overloadSeconds === other.overloadSeconds && one.shadowSeconds < other.shadowSeconds)
  );
}

function neighbours(measured: readonly Measured[], { target, holdMs }: Setting): Measured[] {
  const near = (list: readonly number[], a: number, b: number) =>
    Math.abs(list.indexOf(a) - list.indexOf(b)) <= 1;
  return measured.filter(
    (one) =>
      near(TARGETS, one.target, target) &&
      near(HOLDS_MS, one.holdMs, holdMs) &&
      (one.target !== target || one.holdMs !== holdMs),
  );
}

function table(measured: readonly Measured[], chosen: Setting): string {
  const rows = TARGETS.map((target) => {
    const cells = measured
      .filter((one) => one.target === target)
      .map((one) => {
        const mark = one.target === chosen.target && one.holdMs === chosen.holdMs ? "*" : " ";
        return `${one.overloadSeconds.toFixed(1)} @ ${one.shadowSeconds.toFixed(0)}${mark}`.padStart(13);
      });
    return `target ${target.toFixed(2)} ${cells.join("")}`;
  });
  const head = `${"hold, s".padEnd(12)}${HOLDS_MS.map((holdMs) => String(holdMs / 1000).padStart(13)).join("")}`;
  return ["overload seconds @ shadow seconds of 120 s", head, ...rows].join("\n");
}
