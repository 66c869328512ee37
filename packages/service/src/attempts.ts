/** How often somebody may fail before we stop listening to them for a while. Pure. */

export type Attempts = {
  /** False while too many of the last minute's attempts from there, or from everywhere, failed. */
  allowed(from: string, nowMs: number): boolean;
  failed(from: string, nowMs: number): void;
};

const WINDOW_MS = 60_000;
const FROM_ONE_MAX = 5;
const FROM_ALL_MAX = 50;

export function countAttempts(): Attempts {
  let failures: { readonly from: string; readonly atMs: number }[] = [];
  const recent = (nowMs: number) => {
    failures = failures.filter(({ atMs }) => nowMs - atMs < WINDOW_MS);
    return failures;
  };
  return {
    allowed: (from, nowMs) => {
      const all = recent(nowMs);
      return all.length < FROM_ALL_MAX && all.filter((each) => each.from === from).length < FROM_ONE_MAX;
    },
    failed: (from, nowMs) => {
      if (recent(nowMs).length < FROM_ALL_MAX) failures.push({ from, atMs: nowMs });
    },
  };
}
