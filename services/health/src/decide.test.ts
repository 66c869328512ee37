/** The whole core by scenarios: see testdata. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { it } from "node:test";
import type { Instance, InstancePhase, Role } from "@understudy/model/instance";
import type { Configuration } from "@understudy/model/policy";
import { parseConfiguration } from "@understudy/service/configuration";
import { type Step, scenarioTests } from "@understudy/testkit/scenario";
import { type Decision, decide, type Effect, type Event, keyOf, newState } from "./decide.ts";
import type { ProbeKind, ProbeOutcome, ProcessCondition, Signal } from "./signal.ts";

scenarioTests(join(import.meta.dirname, "testdata"), () => {
  let state = newState("host-a");
  let nowMs = 0;
  const take = (event: Event): string[] => {
    const { next, effects } = decide(state, event, nowMs);
    state = next;
    return effects.flatMap((effect) => render(effect, nowMs));
  };
  return (step) => {
    const { at, every, until } = step.args;
    nowMs = at ? Number(at) : nowMs;
    const lines = eventsOf(step).flatMap(take);
    // `every=100 until=5000` repeats the step.
    while (every && until && nowMs + Number(every) <= Number(until)) {
      nowMs += Number(every);
      lines.push(...eventsOf(step).flatMap(take));
    }
    return lines.join("\n");
  };
});

it("ignores signals about instances and incarnations that it does not watch", () => {
  const state = newState("host-a");
  const about = { resource: "catalog", instance: "catalog-1", incarnation: "x" };
  const signal: Signal = { from: "process", condition: "gone", detail: "" };
  const decision: Decision = decide(state, { kind: "signal", about, signal }, 0);
  assert.deepEqual(decision, { next: state, effects: [] });
});

it("of roles the highest epoch counts, whoever tells them last", () => {
  const roles = (epoch: number): Event => ({
    kind: "roles",
    roles: { resource: "catalog", epoch, primary: "", instances: [] },
  });
  const { next } = decide(newState("host-a"), roles(2), 0);
  assert.equal(decide(next, roles(1), 0).next, next);
  assert.equal(decide(next, roles(3), 0).next.roles.get("catalog")?.epoch, 3);
});

/** Only what changes is shown, and what is watched. Repeats are shown by their number alone in the tests that ask. */
function render(effect: Effect, nowMs: number): string[] {
  switch (effect.kind) {
    case "watch":
      return [
        `watch ${effect.targets.map(({ process, ...target }) => `${keyOf(target)}/${target.incarnation}${process ? ` pid=${process.pid}` : ""}`).join(", ")}`,
      ];
    case "forget":
      return [`forget ${keyOf(effect)}`];
    case "say": {
      if (!effect.changed) return [];
      const { judgement } = effect;
      const evidence = judgement.evidence.map((item) => `${item.signal}: ${item.detail}`).join("; ");
      return [`${nowMs} ${keyOf(judgement)}/${judgement.incarnation} ${judgement.state} (${evidence})`];
    }
  }
}

function eventsOf({ command, args, input }: Step): Event[] {
  const about = { resource: "catalog", instance: args.instance ?? "", incarnation: args.incarnation ?? "a" };
  switch (command) {
    case "configure":
      return [{ kind: "configured", configuration: configurationOf(input) }];
    case "roles": {
      const instances = input.split("\n").filter(Boolean).map(instanceOf);
      const primary = instances.find(({ role }) => role === "primary")?.name ?? "";
      return [{ kind: "roles", roles: { resource: "catalog", epoch: 1, primary, instances } }];
    }
    case "process":
      return [{ kind: "signal", about, signal: processSignal(args.is as ProcessCondition) }];
    case "probe":
      return (args.by ?? "http").split(",").map((by) => ({
        kind: "signal",
        about,
        signal: { from: by as ProbeKind, outcome: outcomeOf(args.is ?? "") },
      }));
    case "announce":
      return [{ kind: "announced", ...about, silentMs: Number(args.silentMs), reason: args.reason ?? "" }];
    case "tick":
      return [{ kind: "tick" }];
    default:
      throw new Error(`unknown command ${command}`);
  }
}

function processSignal(condition: ProcessCondition): Signal {
  return { from: "process", condition, detail: condition };
}

function outcomeOf(kind: string): ProbeOutcome {
  if (kind === "unanswered") return { kind: "late", detail: kind, connected: false };
  if (kind === "late") return { kind: "late", detail: kind, connected: true };
  return { kind: kind as "good" | "busy" | "wrong" | "refused", detail: kind };
}

/** "catalog-1/a primary serving pid=7 host=host-a" */
function instanceOf(line: string): Instance {
  const [names = "", role, phase, ...rest] = line.split(" ");
  const [name = "", incarnation = ""] = names.split("/");
  const more = new Map(rest.map((word) => word.split("=") as [string, string]));
  return {
    name,
    incarnation,
    host: more.get("host") ?? "host-a",
    role: role as Role,
    phase: phase as InstancePhase,
    address: more.get("address") ?? "127.0.0.1:4000",
    gateAddress: "",
    pid: Number(more.get("pid") ?? 0),
    pidStartTicks: 1,
    requestedAtMs: 0,
    readyAtMs: 0,
  };
}

function configurationOf(health: string): Configuration {
  const parsed = parseConfiguration(
    `resources:
  - name: catalog
    run: { command: [app] }
    state: { paths: [a.db], consistency: sqlite }
    routing: { pool: web }
    health: ${health}
pools:
  - { name: web, driver: memory, backends: { reads: r, writes: w }, frontend: "127.0.0.1:1" }
`,
    "scenario",
  );
  assert.ok(parsed.ok, JSON.stringify(parsed));
  return parsed.configuration;
}
