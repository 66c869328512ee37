/** Both clocks of a simulated world and what is due on them. */

export type Timeline = {
  at(): { readonly nowMs: number; readonly bootMs: number };
  after(ms: number, run: () => void): void;
  /** Moves on to `untilBootMs`, running what comes due in order. */
  advanceTo(untilBootMs: number): void;
  /** What was due never comes. */
  forget(): void;
};

type Due = { readonly atMs: number; readonly order: number; readonly run: () => void };

export function createTimeline(): Timeline {
  let nowMs = 1_700_000_000_000;
  let bootMs = 1_000_000;
  let queue: Due[] = [];
  let order = 0;

  function moveTo(toMs: number): void {
    nowMs += toMs - bootMs;
    bootMs = toMs;
  }

  return {
    at: () => ({ nowMs, bootMs }),
    after: (ms, run) => {
      order += 1;
      queue.push({ atMs: bootMs + ms, order, run });
    },
    advanceTo: (untilBootMs) => {
      for (;;) {
        queue.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
        const first = queue[0];
        if (!first || first.atMs > untilBootMs) break;
        queue.shift();
        moveTo(Math.max(bootMs, first.atMs));
        first.run();
      }
      moveTo(untilBootMs);
    },
    forget: () => {
      queue = [];
    },
  };
}
