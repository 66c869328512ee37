/**
 * Compares the four policies on simulated runs of the demo, over many seeds and demands: seconds where a real run takes
 * three minutes. `--seeds N`, `--from SEED` (held-out seeds), `--demand bursts|bursts-7s|ramp|steps`, `--policy NAME`,
 * `--target` and `--hold` of the reactive opponent, `--verbose` prints every change of the number of shadows.
 */

import { demoConfiguration, POLICIES, type Policy, workersFor } from "@understudy/cli/demo/configuration";
import { type Arrival, arrivals, type DemandKind, demandCurve } from "@understudy/cli/demo/demand";
import type { Configuration, ResourceSpec } from "@understudy/model/policy";
import { parseConfiguration } from "@understudy/service/configuration";
import type { BenchOptions, BenchResult } from "./bench.ts";
import { type Outcome, simulatePolicy } from "./policy-simulation.ts";

const PHASES = { learningMs: 60_000, scoredMs: 120_000, failoverMs: 0 };
const RATE_PER_UNIT = 200;
const DEMANDS: Readonly<Record<string, { readonly kind: DemandKind; readonly jitterMs: number }>> = {
  bursts: { kind: "bursts", jitterMs: 300 },
  "bursts-7s": { kind: "bursts", jitterMs: 7_000 },
  ramp: { kind: "ramp", jitterMs: 0 },
  steps: { kind: "steps", jitterMs: 0 },
};
const PLACE = {
  host: "host-a",
  replicatorGrpc: "127.0.0.1:1001",
  mirrorData: "127.0.0.1:1002",
  haproxySocket: "/run/admin.sock",
  frontend: "127.0.0.1:8080",
  instances: {
    driver: "process",
    appTlsDir: "/tls/app-catalog",
    program: "/catalog/main.ts",
    compileCache: "/compile-cache",
  },
} as const;

/** What a run changes of the demo's settings. */
export type Settings = {
  readonly policy: Policy;
  readonly reactiveTarget?: number;
  readonly reactiveHoldMs?: number;
};

export async function run(options: BenchOptions): Promise<BenchResult> {
  const from = Number(options.get("from") ?? 1);
  const seeds = Array.from({ length: Number(options.get("seeds") ?? 5) }, (_, index) => from + index);
  const results: Record<string, Record<string, Outcome>> = {};
  for (const demand of chosen(Object.keys(DEMANDS), options.get("demand"))) {
    results[demand] = {};
    for (const policy of chosen(POLICIES, options.get("policy"))) {
      const settings = { policy, ...reactiveSettings(options) };
      const outcomes = seeds.map((seed) => simulateDemo(settings, { demand, seed, options }));
      results[demand][policy] = meanOutcome(outcomes);
      if (!options.has("json")) console.log(line({ demand, policy, outcomes }));
    }
  }
  return { seeds, results };
}

function chosen<T extends string>(all: readonly T[], only: string | undefined): readonly T[] {
  if (only === undefined) return all;
  const found = all.filter((one) => only.split(",").includes(one));
  if (found.length === 0) throw new RangeError(`"${only}" is none of ${all.join(", ")}`);
  return found;
}

function reactiveSettings(options: BenchOptions): Omit<Settings, "policy"> {
  const [target, hold] = [options.get("target"), options.get("hold")];
  return {
    ...(target === undefined ? {} : { reactiveTarget: Number(target) }),
    ...(hold === undefined ? {} : { reactiveHoldMs: Number(hold) }),
  };
}

const drawn = new Map<string, readonly Arrival[]>();

function drawArrivals(demand: string, seed: number): readonly Arrival[] {
  const key = `${demand}/${seed}`;
  const known = drawn.get(key);
  if (known) return known;
  const { kind, jitterMs } = DEMANDS[demand]!;
  const curve = demandCurve(kind, { phases: PHASES, jitterMs, seed });
  const lengthMs = PHASES.learningMs + PHASES.scoredMs;
  const fresh = arrivals(curve, { ratePerUnit: RATE_PER_UNIT, lengthMs, seed });
  drawn.set(key, fresh);
  return fresh;
}

export function simulateDemo(
  settings: Settings,
  { demand, seed, options }: { demand: string; seed: number; options?: BenchOptions },
): Outcome {
  const say = (atMs: number, text: string) =>
    console.log(`${settings.policy} seed ${seed} ${(atMs / 1_000).toFixed(1)} s: ${text}`);
  return simulatePolicy(drawArrivals(demand, seed), {
    configuration: configurationFor(settings, seed),
    ...workersFor(RATE_PER_UNIT),
    phases: PHASES,
    seed,
    ...(options?.has("verbose") ? { onScale: say } : {}),
  });
}

function configurationFor({ policy, ...reactive }: Settings, seed: number): Configuration {
  const text = demoConfiguration(PLACE, { policy, ratePerUnit: RATE_PER_UNIT, seed });
  const parsed = parseConfiguration(text, "demo.yaml");
  if (!parsed.ok) throw new Error(parsed.mistakes.map(({ message }) => message).join("; "));
  const resources = parsed.configuration.resources.map(
    (spec): ResourceSpec => ({ ...spec, forecast: { ...spec.forecast, ...reactive } }),
  );
  return { ...parsed.configuration, resources };
}

export function meanOutcome(outcomes: readonly Outcome[]): Outcome {
  const mean = (of: (outcome: Outcome) => number) =>
    Number((outcomes.reduce((sum, outcome) => sum + of(outcome), 0) / outcomes.length).toFixed(1));
  return {
    overloadSeconds: mean(({ overloadSeconds }) => overloadSeconds),
    shadowSeconds: mean(({ shadowSeconds }) => shadowSeconds),
  };
}

function line({
  demand,
  policy,
  outcomes,
}: {
  demand: string;
  policy: string;
  outcomes: readonly Outcome[];
}): string {
  const { overloadSeconds, shadowSeconds } = meanOutcome(outcomes);
  const each = outcomes.map((one) => `${one.overloadSeconds}@${Math.round(one.shadowSeconds)}`).join(" ");
  const mean = `${overloadSeconds.toFixed(1)} overload s @ ${shadowSeconds.toFixed(1)} shadow s`;
  return `${demand.padEnd(10)} ${policy.padEnd(11)} ${mean}   (${each})`;
}
