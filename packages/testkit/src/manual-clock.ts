/** A clock that moves only when a test says so: wall time, boot time and timers together. */

import type { Clock } from "@understudy/model/clock";

export type ManualClock = Clock & {
  /** Moves both clocks forward and fires due timers in order of their times. */
  advance(ms: number): void;
  /** Steps wall time alone, as NTP or an operator does; timers do not notice. */
  stepWall(ms: number): void;
  /** Calls back once at `now + afterMs`; returns how to cancel it. */
  after(afterMs: number, callback: () => void): () => void;
};

type Timer = { readonly atBootMs: number; readonly order: number; readonly callback: () => void };

export function manualClock({ nowMs = 1_700_000_000_000, bootMs = 1_000_000 } = {}): ManualClock {
  const at = { wallMs: nowMs, bootMs };
  const timers = new Set<Timer>();
  let order = 0;

  function advance(ms: number): void {
    const untilMs = at.bootMs + ms;
    for (let timer = nextDue(timers, untilMs); timer; timer = nextDue(timers, untilMs)) {
      timers.delete(timer);
      moveTo(Math.max(at.bootMs, timer.atBootMs));
      timer.callback();
    }
    moveTo(untilMs);
  }

  function moveTo(toBootMs: number): void {
    at.wallMs += toBootMs - at.bootMs;
    at.bootMs = toBootMs;
  }

  return {
    nowMs: () => at.wallMs,
    bootMs: () => at.bootMs,
    advance,
    stepWall: (ms) => {
      at.wallMs += ms;
    },
    after: (afterMs, callback) => {
      order += 1;
      const timer = { atBootMs: at.bootMs + afterMs, order, callback };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  };
}

function nextDue(timers: ReadonlySet<Timer>, untilBootMs: number): Timer | undefined {
  return [...timers]
    .filter((timer) => timer.atBootMs <= untilBootMs)
    .sort((a, b) => a.atBootMs - b.atBootMs || a.order - b.order)[0];
}
