import { join } from "node:path";
import type { InstancePhase, Role, Roles, VerdictState } from "@understudy/model/instance";
import type { LinkForecast } from "@understudy/model/link-forecast";
import type { ResourceSpec } from "@understudy/model/policy";
import { type Runner, scenarioTests } from "@understudy/testkit/scenario";
import { decide, NO_STATE } from "./decide.ts";
import type { Effect, Event, State } from "./events.ts";
import {
  configurationOf,
  freshnessOf,
  instanceOf,
  linkOf,
  loadOf,
  POOL,
  predictionOf,
  RESOURCE,
  rolesOf,
  SPEC,
  verdictOf,
} from "./fixtures.ts";

const STEP_MS = 100;

/**
 * One resource in scenario files. `roles` names each instance as name=role/phase[/readyAtMs][/incarnation]. `pass` lets
 * time go by with a prediction (or a tick) every 100 ms; all shadows stay fresh unless `lag` says otherwise.
 */
function createRunner(): Runner {
  const clock = { nowMs: 100_000 };
  let state: State = NO_STATE;
  let roles: Roles | undefined;
  const lags = new Map<string, number>();
  let spoken: Effect[] = [];

  function hear(event: Event): void {
    const decision = decide(state, event, clock.nowMs);
    state = decision.next;
    spoken.push(...decision.effects);
  }

  function hearFreshness(): void {
    for (const instance of roles?.instances ?? []) {
      const lagMs = lags.get(instance.name) ?? 5;
      if (instance.role === "shadow" && lagMs >= 0)
        hear({ kind: "freshness", freshness: freshnessOf(instance, lagMs) });
    }
  }

  type Args = Readonly<Record<string, string>>;
  const numbers = (args: Args) => Object.entries(args).map(([name, value]) => [name, Number(value)] as const);
  const commands: Readonly<Record<string, (args: Args) => void>> = {
    configure: (args) => hear({ kind: "configured", configuration: configurationOf(specOf(args)) }),
    recovered: (args) => {
      const targets = numbers(args).map(([instance, readPpm]) => {
        const { address, gateAddress } = instanceOf(instance);
        return { instance, address, gateAddress, readPpm, writes: instance === "c-1", drain: false };
      });
      const plan = targets.length > 0 ? { pool: POOL.name, epoch: 1, revision: 41, targets } : undefined;
      hear({ kind: "recovered", pool: POOL.name, plan });
    },
    roles: (args) => {
      roles = readRoles(args);
      hearFreshness();
      hear({ kind: "roles", roles });
    },
    verdict: ({ instance = "", state: verdict }) => {
      const about = roles?.instances.find(({ name }) => name === instance) ?? instanceOf(instance);
      hear({ kind: "verdict", verdict: verdictOf(about, verdict as VerdictState) });
    },
    lag: ({ instance = "", ms }) => {
      lags.set(instance, Number(ms));
      hearFreshness();
    },
    pause: () => hear({ kind: "paused", resource: RESOURCE }),
    resume: () => hear({ kind: "resumed", resource: RESOURCE }),
    manual: (args) => hear({ kind: "manual", resource: RESOURCE, readPpm: new Map(numbers(args)) }),
    pass,
  };

  /** rps: demand by prediction; load: demand by metrics only; busy: workers busy of 8 each; aheadN: forecast in N ms; roundTrip, loss, seed: of the link. */
  function pass(args: Readonly<Record<string, string>>): void {
    const untilMs = clock.nowMs + Number(args.ms);
    const ahead = Object.fromEntries(
      Object.entries(args).flatMap(([key, value]) =>
        key.startsWith("ahead") ? [[key.slice(5), Number(value)]] : [],
      ),
    );
    while (clock.nowMs < untilMs) {
      clock.nowMs += STEP_MS;
      hearFreshness();
      const sampledAtMs = clock.nowMs;
      if (args.busy !== undefined || args.load !== undefined) {
        const serving = roles?.instances.filter(({ phase }) => phase === "serving") ?? [];
        const busy = Object.fromEntries(serving.map(({ name }) => [name, Number(args.busy)]));
        hear({
          kind: "load",
          load: loadOf(args.load === undefined ? undefined : Number(args.load), { sampledAtMs, busy }),
        });
      }
      if (args.rps !== undefined) {
        const links = linksOf(args);
        const prediction = predictionOf(Number(args.rps), { sampledAtMs, ahead, links });
        hear({ kind: "prediction", prediction });
      }
      hear({ kind: "tick" });
    }
  }

  return ({ command, args }) => {
    spoken = [];
    const perform = commands[command];
    if (!perform) throw new Error(`no such command: ${command}`);
    perform(args);
    return describe(spoken);
  };
}

function linksOf({ roundTrip, loss, seed }: Readonly<Record<string, string>>): LinkForecast[] {
  if ((roundTrip ?? loss ?? seed) === undefined) return [];
  return [
    linkOf({ roundTripMs: Number(roundTrip ?? 0), loss: Number(loss ?? 0), seedMs: Number(seed ?? 0) }),
  ];
}

function specOf(args: Readonly<Record<string, string>>): ResourceSpec {
  const { policy = "predictive", onlyStale = "refuse", mode = "act", maxShadowShare = "0.9" } = args;
  return {
    ...SPEC,
    mode: mode as ResourceSpec["mode"],
    forecast: { ...SPEC.forecast, policy: policy as ResourceSpec["forecast"]["policy"] },
    routing: { ...SPEC.routing, onlyStale: onlyStale as "refuse", maxShadowShare: Number(maxShadowShare) },
  };
}

function readRoles({ epoch = "1", primary = "", ...instances }: Readonly<Record<string, string>>): Roles {
  const list = Object.entries(instances).map(([name, text]) => {
    const [role, phase, readyAtMs = "0", incarnation = `${name}-i1`] = text.split("/");
    return instanceOf(name, {
      role: role as Role,
      phase: phase as InstancePhase,
      readyAtMs: Number(readyAtMs),
      requestedAtMs: Math.max(0, Number(readyAtMs) - 1_800),
      incarnation,
    });
  });
  return rolesOf(list, { epoch: Number(epoch), primary });
}

/** The last plan, its reason and the last wish for shadows; of each only what is new in this step. */
function describe(effects: readonly Effect[]): string {
  const lines: string[] = [];
  const last = <K extends Effect["kind"]>(kind: K) =>
    effects.findLast((effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind);
  const applied = last("apply");
  if (applied) {
    const { plan } = applied;
    lines.push(`apply ${plan.epoch}.${plan.revision}`);
    for (const { instance, readPpm, writes, drain } of plan.targets) {
      lines.push(
        `  ${instance} ${(readPpm / 10_000).toFixed(1)}%${writes ? " writes" : ""}${drain ? " drain" : ""}`,
      );
    }
  }
  const weights = last("say-weights")?.decision;
  if (weights) {
    lines.push(`${weights.reason.rule}: ${weights.reason.text}`);
    for (const { instance, limitedBy } of weights.shares)
      if (limitedBy) lines.push(`  ${instance} ${limitedBy}`);
  }
  for (const effect of effects) {
    if (effect.kind === "notice") lines.push(`notice ${effect.notice.what}`);
  }
  const scale = last("say-scale")?.decision;
  if (scale)
    lines.push(
      `scale ${scale.presentShadows} -> ${scale.wantedShadows} (${scale.reason.rule}: ${scale.reason.text})`,
    );
  return lines.join("\n");
}

scenarioTests(join(import.meta.dirname, "testdata"), createRunner);
