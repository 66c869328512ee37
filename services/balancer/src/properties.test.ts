import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJsonString, toJsonString } from "@bufbuild/protobuf";
import type { InstancePhase, Role, Roles, Verdict, VerdictState } from "@understudy/model/instance";
import { PPM } from "@understudy/model/share";
import type { Plan } from "@understudy/traffic/driver";
import { WeightDecisionSchema } from "@understudy/wire/gen/weight";
import fc from "fast-check";
import { decide, NO_STATE } from "./decide.ts";
import type { WeightDecision } from "./decision.ts";
import type { Event, State } from "./events.ts";
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
import { recordedFromWire } from "./inputs-from-wire.ts";
import { replay } from "./replay.ts";
import { weightsToWire } from "./wire.ts";

const NAMES = ["c-1", "c-2", "c-3", "c-4"];
const name = fc.constantFrom(...NAMES);
const role = fc.constantFrom<Role>("shadow", "shadow", "shadow", "fenced");
const phase = fc.constantFrom<InstancePhase>("serving", "serving", "serving", "starting", "draining", "gone");

const anyRoles = fc
  .record({
    epoch: fc.integer({ min: 1, max: 4 }),
    primary: fc.option(name),
    kinds: fc.array(fc.tuple(role, phase), { minLength: 4, maxLength: 4 }),
  })
  .map(({ epoch, primary, kinds }): Roles => {
    const instances = NAMES.map((each, index) => {
      const [asRole, inPhase] = kinds[index]!;
      return instanceOf(each, { role: each === primary ? "primary" : asRole, phase: inPhase });
    });
    return rolesOf(instances, { epoch, primary: primary ?? "" });
  });

type Step = { afterMs: number; event: (nowMs: number) => Event };
const rate = fc.integer({ min: 0, max: 2_000 });
const anyLinks = fc.array(
  fc
    .record({
      roundTripMs: fc.integer({ min: 0, max: 1_500 }),
      loss: fc.double({ min: 0, max: 1, noNaN: true }),
      seedMs: fc.integer({ min: 0, max: 20_000 }),
    })
    .map(linkOf),
  { maxLength: 2 },
);
const anyStep: fc.Arbitrary<Step> = fc
  .oneof(
    anyRoles.map((roles) => () => ({ kind: "roles", roles }) as Event),
    fc.tuple(name, fc.constantFrom<VerdictState>("up", "suspect", "down")).map(([instance, state]) => () => {
      return { kind: "verdict", verdict: verdictOf(instanceOf(instance), state) } as Event;
    }),
    fc.tuple(name, fc.integer({ min: 0, max: 4_000 })).map(([instance, lagMs]) => () => {
      return { kind: "freshness", freshness: freshnessOf(instanceOf(instance), lagMs) } as Event;
    }),
    fc.tuple(rate, rate, rate, anyLinks).map(([now, soon, later, links]) => (sampledAtMs: number) => {
      const ahead = { 1000: soon, 2000: later, 4000: later };
      return { kind: "prediction", prediction: predictionOf(now, { sampledAtMs, ahead, links }) } as Event;
    }),
    rate.map(
      (rps) => (sampledAtMs: number) => ({ kind: "load", load: loadOf(rps, { sampledAtMs }) }) as Event,
    ),
    fc.constant(() => ({ kind: "tick" }) as Event),
    fc.constant(() => ({ kind: "paused", resource: RESOURCE }) as Event),
    fc.constant(() => ({ kind: "resumed", resource: RESOURCE }) as Event),
    fc.dictionary(name, fc.integer({ min: 0, max: PPM })).map((parts) => () => {
      return { kind: "manual", resource: RESOURCE, readPpm: new Map(Object.entries(parts)) } as Event;
    }),
  )
  .chain((event) => fc.integer({ min: 0, max: 500 }).map((afterMs) => ({ afterMs, event })));

type Seen = {
  roles: Roles | undefined;
  verdicts: Map<string, Verdict>;
  plans: Plan[];
  wanted: number[];
  said: WeightDecision[];
};

/** Runs the steps and calls `check` for each plan with what was known when it was made. */
function play(
  steps: readonly Step[],
  check: (plan: Plan, seen: Seen) => void,
): { state: State; nowMs: number; said: readonly WeightDecision[] } {
  let state: State = NO_STATE;
  let nowMs = 1_000;
  const seen: Seen = { roles: undefined, verdicts: new Map(), plans: [], wanted: [], said: [] };
  const hear = (event: Event) => {
    if (event.kind === "roles" && event.roles.epoch >= (seen.roles?.epoch ?? 0)) seen.roles = event.roles;
    if (event.kind === "verdict") seen.verdicts.set(event.verdict.instance, event.verdict);
    const decision = decide(state, event, nowMs);
    state = decision.next;
    for (const effect of decision.effects) {
      if (effect.kind === "say-scale") seen.wanted.push(effect.decision.wantedShadows);
      if (effect.kind === "say-weights") seen.said.push(effect.decision);
      if (effect.kind !== "apply") continue;
      check(effect.plan, seen);
      seen.plans.push(effect.plan);
    }
  };
  hear({ kind: "configured", configuration: configurationOf() });
  hear({ kind: "recovered", pool: POOL.name, plan: undefined });
  for (const step of steps) {
    nowMs += step.afterMs;
    hear(step.event(nowMs));
  }
  const { min, max } = SPEC.shadows;
  assert.ok(seen.wanted.every((wanted) => wanted >= min && wanted <= max));
  return { state, nowMs, said: seen.said };
}

const anyStory = fc.array(anyStep, { minLength: 1, maxLength: 60 });

test("the shares of every plan add up to the whole, or to nothing when nobody may serve", () => {
  fc.assert(
    fc.property(anyStory, (steps) => {
      play(steps, (plan) => {
        const total = plan.targets.reduce((sum, target) => sum + target.readPpm, 0);
        assert.ok(total === PPM || total === 0, `${total}`);
      });
    }),
  );
});

test("writes go to the primary of the newest epoch and to nobody else", () => {
  fc.assert(
    fc.property(anyStory, (steps) => {
      play(steps, (plan, { roles }) => {
        assert.equal(plan.epoch, roles!.epoch);
        const writers = plan.targets.filter((target) => target.writes).map((target) => target.instance);
        assert.ok(writers.length === 0 || (writers.length === 1 && writers[0] === roles!.primary));
      });
    }),
  );
});

test("the fenced, the dead and those that do not serve get no reads", () => {
  fc.assert(
    fc.property(anyStory, (steps) => {
      play(steps, (plan, { roles, verdicts }) => {
        for (const target of plan.targets) {
          const instance = roles!.instances.find((one) => one.name === target.instance)!;
          assert.notEqual(instance.role, "fenced");
          const out = instance.phase !== "serving" || verdicts.get(instance.name)?.state === "down";
          if (out) assert.equal(target.readPpm, 0);
        }
      });
    }),
  );
});

test("epoch and revision never go back, and another plan has another revision", () => {
  fc.assert(
    fc.property(anyStory, (steps) => {
      play(steps, (plan, { plans }) => {
        const before = plans.at(-1);
        if (!before) return;
        assert.ok(plan.epoch >= before.epoch);
        assert.ok(plan.revision >= before.revision);
        if (plan.revision === before.revision) assert.deepEqual(plan, before);
      });
    }),
  );
});

test("deciding again on the same knowledge changes nothing", () => {
  fc.assert(
    fc.property(anyStory, (steps) => {
      const plans: Plan[] = [];
      const { state, nowMs } = play(steps, (plan) => plans.push(plan));
      fc.pre(plans.length > 0);
      const resumed = decide(state, { kind: "paused", resource: RESOURCE }, nowMs);
      const first = decide(resumed.next, { kind: "paused", resource: RESOURCE }, nowMs);
      const second = decide(first.next, { kind: "paused", resource: RESOURCE }, nowMs);
      const planOf = (effects: typeof first.effects) =>
        effects.find((effect) => effect.kind === "apply")?.plan;
      assert.deepEqual(planOf(second.effects), planOf(first.effects));
    }),
  );
});

test("a published decision holds all it was made from: made again, it is the same to the letter", () => {
  const about = { time: { wallMs: 1, counter: 0 }, source: "test" };
  // Long enough that all rules get their turn.
  const longStory = fc.array(anyStep, { minLength: 60, maxLength: 60 });
  fc.assert(
    fc.property(longStory, (steps) => {
      const { said } = play(steps, () => undefined);
      const lines = said.map((one) => toJsonString(WeightDecisionSchema, weightsToWire(one, "", about)));
      const recording = lines.map((line) => recordedFromWire(fromJsonString(WeightDecisionSchema, line))!);
      for (const [index, again] of replay(recording, {}).entries()) {
        assert.ok(again.reproduced && !again.differs);
        assert.deepEqual(again.reason, said[index]!.reason);
      }
    }),
  );
});
