/**
 * Feeds the core one event at a time, in the order in which they are heard, and hands its effects on. All of it happens in
 * one turn of the event loop: the load balancer is asked before anything else is looked at.
 */

import { type Context, ROOT_CONTEXT } from "@opentelemetry/api";
import type { Clock } from "@understudy/model/clock";
import { pause } from "@understudy/model/pause";
import { decide, NO_STATE } from "./decide.ts";
import type { Effect, Event, State } from "./events.ts";
import type { Instruments } from "./telemetry.ts";

const TICK_MS = 100;

export type Loop = {
  /** `cause`: the context of the message behind the event; its trace goes on to the load balancer's answer. */
  hear(event: Event, cause?: Context): void;
  state(): State;
  run(signal: AbortSignal): Promise<void>;
};

export function createLoop(parts: {
  readonly clock: Clock;
  readonly instruments: Instruments;
  readonly perform: (effect: Effect, within: Context) => void;
}): Loop {
  const { clock, instruments, perform } = parts;
  let state = NO_STATE;

  function hear(event: Event, cause: Context = ROOT_CONTEXT): void {
    const startMs = performance.now();
    const { next, effects } = decide(state, event, clock.nowMs());
    // Before the effects: performing one may bring the next event at once.
    state = next;
    if (effects.length === 0) return;
    const { span, within } = instruments.deciding(cause, event.kind);
    for (const effect of effects) perform(effect, within);
    span.end();
    instruments.decided(performance.now() - startMs);
  }

  return {
    hear,
    state: () => state,
    async run(signal) {
      while (!signal.aborted) {
        await pause(TICK_MS, signal);
        if (!signal.aborted) hear({ kind: "tick" });
      }
    },
  };
}
