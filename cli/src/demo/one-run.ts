/**
 * One policy through the whole demo: start everything, learn, score, kill the primary at base load, wait until the lost
 * instance is a live shadow again, look for lost writes, and give the facts for the report.
 */

import { setTimeout as delay } from "node:timers/promises";
import { startNoise } from "@understudy/testkit/noise";
import { waitFor } from "@understudy/testkit/wait";
import { committedKeys } from "./committed.ts";
import { type Policy, STANDING_SHADOWS } from "./configuration.ts";
import type { Scene, Stage } from "./frame.ts";
import { type RunningLoad, startLoad } from "./load-process.ts";
import { nothingObserved, type Observed } from "./observe.ts";
import { watchOwnTicks } from "./own-ticks.ts";
import { type DemandOptions, type LoadPlan, planLoad } from "./plan.ts";
import { type PolicyReport, reportOf } from "./report.ts";
import { readSpans, spansOfDecision } from "./spans.ts";
import { isStanding, primaryNow, type Stack, startStack } from "./stack.ts";

/** After the scored part, so that nothing of it is disturbed. */
const KILL_AFTER_MS = 3_000;
const POLL_MS = 20;
const RECOVERED_WITHIN_MS = 60_000;

export type RunOptions = {
  readonly policy: Policy;
  readonly demand: DemandOptions;
  /** Of the example service, for instances that are containers; undefined: they are processes. */
  readonly image: string | undefined;
  readonly signal: AbortSignal;
  readonly say: (text: string) => void;
  /** Given the scene of this run, to show it while it runs. */
  readonly onScene: (scene: () => Scene) => void;
};

export type FinishedRun = { readonly report: PolicyReport; readonly stack: Stack };

/** The stack is still running when this resolves: the caller closes or keeps it. When it rejects, nothing is left. */
export async function runPolicy(options: RunOptions): Promise<FinishedRun> {
  const { policy, demand, image, signal, say } = options;
  const plan = planLoad(demand);
  const observed = nothingObserved();
  let load: RunningLoad | undefined;
  let checking = false;
  options.onScene(() => sceneOf({ policy, seed: demand.seed, plan, observed, load, checking }));
  const stack = await startStack(
    { policy, ratePerUnit: demand.ratePerUnit, seed: demand.seed, image },
    { observed, signal, say },
  );
  const ticks = watchOwnTicks(stack.run.id);
  try {
    const noise = startNoise(() => ticks.total());
    load = startLoad(stack.run, {
      demand,
      host: "127.0.0.1",
      port: stack.frontendPort,
      keyPrefix: stack.run.id,
    });
    const running = load;
    say(`requests go to http://127.0.0.1:${stack.frontendPort}`);
    const [result, killed] = await Promise.all([
      Promise.race([running.result, whenAborted(signal)]),
      killAfter(plan, { load: running, observed, stack, signal }),
    ]);
    const machine = noise();
    checking = true;
    await waitFor(() => signal.aborted || isWholeAgain(observed, killed.name), {
      withinMs: RECOVERED_WITHIN_MS,
      what: `${killed.name} as a live shadow again`,
    });
    signal.throwIfAborted();
    const committed = await committedKeys(primaryNow(observed)!.address);
    const report = reportOf({
      load: result,
      phases: plan.phases,
      curve: plan.curve,
      standing: 1 + STANDING_SHADOWS,
      roles: observed.roles,
      shares: observed.shares,
      killed,
      committed,
      deltaBytes: [...observed.deltaBytes.values()].reduce((sum, bytes) => sum + bytes, 0),
      stateBytes: observed.stateBytes,
      traceSpans: spansOfDecision(readSpans(stack.cluster.traceFolder)),
      noise: machine,
    });
    return { report, stack };
  } catch (error) {
    await stack.close();
    throw error;
  } finally {
    ticks.close();
  }
}

type Killed = { readonly name: string; readonly atMs: number };

/** Waits for the end of the scored part and kills the primary as a crash would. */
async function killAfter(
  plan: LoadPlan,
  {
    load,
    observed,
    stack,
    signal,
  }: { load: RunningLoad; observed: Observed; stack: Stack; signal: AbortSignal },
): Promise<Killed> {
  const dueMs = plan.phases.learningMs + plan.phases.scoredMs + KILL_AFTER_MS;
  while (sinceStart(load) < dueMs || !isStanding(observed)) await delay(POLL_MS, undefined, { signal });
  const primary = primaryNow(observed)!;
  const atMs = Date.now();
  await stack.kill(primary);
  return { name: primary.name, atMs };
}

function sinceStart(load: RunningLoad): number {
  const startedAtMs = load.startedAtMs();
  return startedAtMs === undefined ? 0 : Date.now() - startedAtMs;
}

function isWholeAgain(observed: Observed, killed: string): boolean {
  const primary = primaryNow(observed);
  return primary !== undefined && primary.name !== killed && isStanding(observed);
}

function whenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function sceneOf(of: {
  policy: Policy;
  seed: number;
  plan: LoadPlan;
  observed: Observed;
  load: RunningLoad | undefined;
  checking: boolean;
}): Scene {
  const { policy, seed, plan, observed, load, checking } = of;
  const loadStartedAtMs = load?.startedAtMs();
  const stage = checking ? "checking" : stageAt(plan, loadStartedAtMs);
  return {
    nowMs: Date.now(),
    policy,
    seed,
    phases: plan.phases,
    loadStartedAtMs,
    stage,
    progress: load?.progress(),
    observed,
  };
}

function stageAt({ phases }: LoadPlan, loadStartedAtMs: number | undefined): Stage {
  if (loadStartedAtMs === undefined) return "setting up";
  const sinceMs = Date.now() - loadStartedAtMs;
  if (sinceMs < phases.learningMs) return "learning";
  return sinceMs < phases.learningMs + phases.scoredMs ? "scored" : "failover";
}
