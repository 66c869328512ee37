/**
 * Chooses the reactive opponent: runs the demo's bursts through the real cores (policy-simulation.ts) over its target and
 * hold, prints what each setting costs and harms, and takes the one with the fewest overload seconds among those that
 * cost at most 5 % more than predictive does on the same arrivals. `--seeds N`, `--cost SECONDS` for a cost that was
 * measured elsewhere. docs/policies.md states the outcome.
 */

import type { BenchOptions, BenchResult } from "./bench.ts";
import { meanOutcome, type Settings, simulateDemo } from "./policies.ts";
import type { Outcome } from "./policy-simulation.ts";

const TARGETS = [0.65, 0.7, 0.75, 0.8, 0.85] as const;
const HOLDS_MS = [0, 1_000, 2_000, 5_000] as const;
const COST_SLACK = 1.05;
const DEMAND = "bursts";

type Setting = { readonly target: number; readonly holdMs: number };
type Measured = Setting & Outcome;

export async function run(options: BenchOptions): Promise<BenchResult> {
  const seeds = Array.from({ length: Number(options.get("seeds") ?? 3) }, (_, index) => index + 1);
  const meanOf = (settings: Settings) =>
    meanOutcome(seeds.map((seed) => simulateDemo(settings, { demand: DEMAND, seed })));
  const predictive = meanOf({ policy: "predictive" });
  const costSeconds = Number(options.get("cost") ?? predictive.shadowSeconds);
  const measured = TARGETS.flatMap((target) =>
    HOLDS_MS.map((holdMs): Measured => {
      const settings = { policy: "reactive", reactiveTarget: target, reactiveHoldMs: holdMs } as const;
      return { target, holdMs, ...meanOf(settings) };
    }),
  );
  const chosen = choose(measured, costSeconds * COST_SLACK);
  if (!options.has("json")) console.log(table(measured, chosen));
  return { seeds: seeds.length, costSeconds, predictive, chosen, measured };
}

/** The least harm within the cost; where none is within it, the least harm of all. */
export function choose(measured: readonly Measured[], costMax: number): Measured {
  const affordable = measured.filter(({ shadowSeconds }) => shadowSeconds <= costMax);
  const candidates = affordable.length > 0 ? affordable : measured;
  return candidates.reduce((best, next) => (isBetter(next, best) ? next : best));
}

function isBetter(one: Outcome, other: Outcome): boolean {
  return (
    one.overloadSeconds < other.overloadSeconds ||
    (one.overloadSeconds === other.overloadSeconds && one.shadowSeconds < other.shadowSeconds)
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
