/**
 * How fast a link may be filled: a bucket of bytes that refills at the rate, shared by everything that goes to one host.
 * Deltas go before seeds: a seed may only take what lies above the mark that is kept for deltas, and a delta may overdraw
 * the bucket, which seeds then wait to see filled again. So the rate holds on average over seconds, and a critical write
 * behind a first copy waits for the frame that is being sent and for nothing else.
 */

export type Traffic = "delta" | "seed";

export type RateLimit = {
  /** Undefined: no limit. */
  setRate(bytesPerSecond: number | undefined): void;
  /** Counts what was sent. */
  spend(bytes: number): void;
  open(traffic: Traffic): boolean;
  /** Resolves when `open` is true; at once when the signal aborts. */
  untilOpen(traffic: Traffic, signal: AbortSignal): Promise<void>;
};

/** What may go at once: this much time's worth, but a frame at least. */
const BURST_MS = 100;
const BURST_BYTES_MIN = 64 * 1024;
/** Part of the burst that seeds leave to deltas. */
const KEPT_FOR_DELTAS = 0.5;
/** Deltas may overdraw by this much time's worth. */
const DEBT_MS = 1_000;
const LOOK_AGAIN_MS_MIN = 1;
const LOOK_AGAIN_MS_MAX = 250;

/** `nowMs` is a monotonic clock. */
export function createRateLimit(
  rate: number | undefined,
  nowMs: () => number = () => performance.now(),
): RateLimit {
  let perMs = (rate ?? Number.POSITIVE_INFINITY) / 1_000;
  const burst = () => Math.max(BURST_BYTES_MIN, perMs * BURST_MS);
  let tokens = burst();
  let countedAtMs = nowMs();

  function refill(): void {
    const now = nowMs();
    if (perMs !== Number.POSITIVE_INFINITY) tokens = Math.min(burst(), tokens + (now - countedAtMs) * perMs);
    countedAtMs = now;
  }
  const markOf = (traffic: Traffic) => (traffic === "seed" ? burst() * KEPT_FOR_DELTAS : -perMs * DEBT_MS);
  function open(traffic: Traffic): boolean {
    if (perMs === Number.POSITIVE_INFINITY) return true;
    refill();
    return tokens > markOf(traffic);
  }

  return {
    setRate(bytesPerSecond) {
      const next = (bytesPerSecond ?? Number.POSITIVE_INFINITY) / 1_000;
      if (next === perMs) return;
      refill();
      perMs = next;
      // A debt of before is paid at the new rate, and no more of it than a new one could be.
      tokens = perMs === Number.POSITIVE_INFINITY ? 0 : Math.max(-perMs * DEBT_MS, Math.min(burst(), tokens));
    },
    spend(bytes) {
      if (perMs === Number.POSITIVE_INFINITY) return;
      refill();
      tokens -= bytes;
    },
    open,
    async untilOpen(traffic, signal) {
      while (!signal.aborted && !open(traffic)) {
        const missingMs = (markOf(traffic) - tokens) / perMs;
        const waitMs = Math.min(LOOK_AGAIN_MS_MAX, Math.max(LOOK_AGAIN_MS_MIN, missingMs));
        await aWhile(waitMs, signal);
      }
    },
  };
}

/** What obeys several limits at once. */
export function allOf(limits: readonly RateLimit[]): Omit<RateLimit, "setRate"> {
  const open = (traffic: Traffic) => limits.every((limit) => limit.open(traffic));
  return {
    spend: (bytes) => {
      for (const limit of limits) limit.spend(bytes);
    },
    open,
    untilOpen: async (traffic, signal) => {
      while (!signal.aborted && !open(traffic))
        for (const limit of limits) await limit.untilOpen(traffic, signal);
    },
  };
}

function aWhile(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
  });
}
