/** A recording for tests: what the balancer says of a burst that is foreseen three seconds before it is here. */

import type { WeightDecision } from "@understudy/wire/gen/weight";
import { decide, NO_STATE } from "./decide.ts";
import type { Event, State } from "./events.ts";
import { configurationOf, freshnessOf, instanceOf, POOL, predictionOf, rolesOf } from "./fixtures.ts";
import { weightsToWire } from "./wire.ts";

/** 1790000000000 is 2026-09-21T14:13:20Z; the others count from it. */
export const BURST = {
  startMs: 1_790_000_000_000,
  foreseenAtMs: 2_000,
  hereAtMs: 5_000,
  endMs: 8_000,
};

const STEP_MS = 100;

export function recordBurst(): WeightDecision[] {
  let state: State = NO_STATE;
  let nowMs = BURST.startMs;
  const recorded: WeightDecision[] = [];
  const hear = (event: Event) => {
    const { next, effects } = decide(state, event, nowMs);
    state = next;
    for (const effect of effects) {
      if (effect.kind !== "say-weights") continue;
      const about = { time: { wallMs: nowMs, counter: 0 }, source: "test" };
      recorded.push(weightsToWire(effect.decision, "", about));
    }
  };
  const shadow = instanceOf("c-2");
  const roles = rolesOf([instanceOf("c-1", { role: "primary" }), shadow], { primary: "c-1" });
  hear({ kind: "configured", configuration: configurationOf() });
  hear({ kind: "recovered", pool: POOL.name, plan: undefined });
  hear({ kind: "freshness", freshness: freshnessOf(shadow, 5) });
  hear({ kind: "roles", roles });
  for (let sinceMs = 0; sinceMs < BURST.endMs; sinceMs += STEP_MS) {
    nowMs = BURST.startMs + sinceMs;
    hear({ kind: "freshness", freshness: freshnessOf(shadow, 5) });
    const here = sinceMs < BURST.hereAtMs ? 100 : 300;
    const ahead = { 1000: sinceMs < BURST.foreseenAtMs ? 100 : 300 };
    hear({ kind: "prediction", prediction: predictionOf(here, { sampledAtMs: nowMs, ahead }) });
  }
  return recorded;
}
