/**
 * One resource's events, one after the other: event -> decide -> keep the new state -> perform. All in the turn of the
 * event loop in which the event was made, so that what the core is told is never older than what it told others.
 */

import type { Clock } from "@understudy/model/clock";
import { decide } from "./decide.ts";
import type { Effect, Event } from "./events.ts";
import type { ResourceState } from "./resource-state.ts";

/** The core bounds its own work; more events than this within one turn mean that it feeds itself. */
const TURN_EVENTS_MAX = 10_000;

export type Loop = {
  state(): ResourceState;
  post(event: Event): void;
  /** Calls back after each event; returns how to stop it. */
  onChange(listener: () => void): () => void;
  /** Nothing is decided any more. */
  close(): void;
};

export function createLoop(options: {
  readonly initial: ResourceState;
  readonly clock: Clock;
  readonly perform: (effect: Effect) => void;
  readonly observe: (before: ResourceState, after: ResourceState) => void;
}): Loop {
  const { clock } = options;
  const waiting: Event[] = [];
  const listeners = new Set<() => void>();
  let state = options.initial;
  let busy = false;
  let closed = false;

  function take(event: Event): void {
    const before = state;
    const { next, effects } = decide(state, event, { nowMs: clock.nowMs(), bootMs: clock.bootMs() });
    state = next;
    for (const effect of effects) options.perform(effect);
    options.observe(before, next);
  }

  function drain(): void {
    busy = true;
    try {
      for (let taken = 0; waiting.length > 0; taken += 1) {
        if (taken >= TURN_EVENTS_MAX) throw new Error(`${state.resource}: ${taken} events in one turn`);
        take(waiting.shift()!);
      }
    } finally {
      busy = false;
    }
    for (const listener of [...listeners]) listener();
  }

  return {
    state: () => state,
    post: (event) => {
      if (closed) return;
      waiting.push(event);
      // An effect that answers at once is taken after the effects beside it.
      if (!busy) drain();
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => {
      closed = true;
    },
  };
}
