/** Waits for a condition with a deadline, so that no test sleeps on a guess. */

import { setTimeout as sleep } from "node:timers/promises";
import { TestkitError } from "./error.ts";

const EVERY_MS = 20;

type Falsy = undefined | null | false | 0 | "";

/**
 * The first truthy value of `condition`, asked again every `everyMs`. Throws TestkitError "timeout" after `withinMs`,
 * naming `what`. A condition that throws is one that does not hold yet; its last error becomes the cause.
 */
export async function waitFor<T>(
  condition: () => T | Falsy | Promise<T | Falsy>,
  {
    withinMs,
    everyMs = EVERY_MS,
    what = "the condition",
  }: { withinMs: number; everyMs?: number; what?: string },
): Promise<T> {
  const untilMs = performance.now() + withinMs;
  let cause: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      cause = undefined;
    } catch (error) {
      cause = error;
    }
    if (performance.now() >= untilMs) {
      throw new TestkitError("timeout", `${what} did not come within ${withinMs} ms`, { cause });
    }
    await sleep(everyMs);
  }
}
