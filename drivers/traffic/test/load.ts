/** A small open-loop load: requests leave at their intended times whether or not earlier ones were answered. */

export type LoadResult = {
  readonly sent: number;
  readonly failures: readonly string[];
  /** By the instance that answered. */
  readonly served: ReadonlyMap<string, number>;
  /** Longest time from one answer to the next: the gap that clients felt. */
  readonly gapMs: number;
};

/** `stop` is idempotent. */
export type Load = { stop(): Promise<LoadResult> };

const TICK_MS = 5;

export function startLoad(send: () => Promise<string>, { perSecond }: { perSecond: number }): Load {
  const startMs = performance.now();
  const open: Promise<void>[] = [];
  const failures: string[] = [];
  const served = new Map<string, number>();
  let lastAnswerMs = startMs;
  let gapMs = 0;

  async function one(): Promise<void> {
    try {
      const instance = await send();
      served.set(instance, (served.get(instance) ?? 0) + 1);
      const nowMs = performance.now();
      gapMs = Math.max(gapMs, nowMs - lastAnswerMs);
      lastAnswerMs = nowMs;
    } catch (error) {
      failures.push(`${(error as Error).message} after ${Math.round(performance.now() - startMs)} ms`);
    }
  }

  function sendDue(): void {
    const due = Math.floor(((performance.now() - startMs) / 1000) * perSecond);
    while (open.length < due) open.push(one());
  }

  const timer = setInterval(sendDue, TICK_MS);
  return {
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
      return { sent: open.length, failures, served, gapMs };
    },
  };
}
