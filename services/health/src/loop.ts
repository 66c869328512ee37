/**
 * Feeds the core one event at a time and performs what it asks for. Everything here is synchronous: a signal becomes a
 * verdict on the board in the same turn of the event loop.
 */

import { decide, type Effect, type Event, newState, type State } from "./decide.ts";

/** Time alone changes verdicts too: a stopped process, a silent host, a repeat that is due. */
const TICK_MS = 50;

export type Loop = {
  state(): State;
  take(event: Event): void;
  run(signal: AbortSignal): Promise<void>;
};

/** `nowMs` is a monotonic clock. */
export function createLoop({
  host,
  perform,
  nowMs,
}: {
  host: string;
  perform: (effect: Effect) => void;
  nowMs: () => number;
}): Loop {
  let state = newState(host);
  const take = (event: Event): void => {
    const { next, effects } = decide(state, event, nowMs());
    // Before the effects: performing one may bring the next event at once.
    state = next;
    for (const effect of effects) perform(effect);
  };
  return {
    state: () => state,
    take,
    run: (signal) =>
      new Promise((resolve) => {
        if (signal.aborted) return resolve();
        const timer = setInterval(() => take({ kind: "tick" }), TICK_MS);
        signal.addEventListener("abort", () => {
          clearInterval(timer);
          resolve();
        });
      }),
  };
}
