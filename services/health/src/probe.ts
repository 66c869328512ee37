/**
 * Runs one kind of probe against one instance, over and over: a new one each interval, never two at once, each bounded in
 * time. An outcome that only our own delay explains is dropped.
 */

import type { ProbeOutcome } from "./signal.ts";

/** Performs one probe. It resolves whatever happens, soon after the signal aborts at the latest. */
export type Probe = (limits: {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}) => Promise<ProbeOutcome>;

/** Our own event loop was away for so long that a time-out says nothing about the other side. */
const OWN_DELAY_MAX_MS = 100;

export function repeatProbe(
  probe: Probe,
  {
    intervalMs,
    timeoutMs,
    onOutcome,
  }: { intervalMs: number; timeoutMs: number; onOutcome: (outcome: ProbeOutcome) => void },
): { close(): void } {
  const stop = new AbortController();
  let busy = false;
  const once = async (): Promise<void> => {
    if (busy) return;
    busy = true;
    const startedMs = performance.now();
    try {
      const outcome = await probe({ timeoutMs, signal: stop.signal });
      const overMs = performance.now() - startedMs - timeoutMs;
      const ownDelay = outcome.kind === "late" && overMs > OWN_DELAY_MAX_MS;
      if (!stop.signal.aborted && !ownDelay) onOutcome(outcome);
    } finally {
      busy = false;
    }
  };
  // A rejection here is a defect of a probe; it ends the process, as every unhandled one does.
  const timer = setInterval(() => void once(), intervalMs);
  void once();
  return {
    close() {
      clearInterval(timer);
      stop.abort();
    },
  };
}
