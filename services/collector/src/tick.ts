/** Calls back at a steady rate that never drifts. A tick that comes too late is left out, not made up for. */

/** `work` gets the index of its tick; ticks that were left out make it jump. Resolves when the signal aborts. */
export function everyTick(
  intervalMs: number,
  signal: AbortSignal,
  work: (index: number) => void,
): Promise<void> {
  return new Promise((resolve) => {
    const startMs = performance.now();
    let index = 0;
    let timer: NodeJS.Timeout;
    const end = (): void => {
      clearTimeout(timer);
      resolve();
    };
    const schedule = (): void => {
      const dueIndex = Math.floor((performance.now() - startMs) / intervalMs) + 1;
      index = Math.max(index + 1, dueIndex);
      timer = setTimeout(tick, Math.max(0, startMs + index * intervalMs - performance.now()));
    };
    const tick = (): void => {
      work(index);
      if (!signal.aborted) schedule();
    };
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", end, { once: true });
    schedule();
  });
}
