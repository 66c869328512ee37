/**
 * The present verdict of every instance, for any number of watchers. A watcher gets the newest verdict of each instance; a
 * slow one skips those in between, so that nothing piles up for it.
 */

import type { Verdict } from "@understudy/model/instance";

export type Board = {
  post(verdict: Verdict): void;
  forget(resource: string, instance: string): void;
  /** All present verdicts (of one resource, or of all for an empty name), then each new one, until the signal aborts. */
  watch(resource: string, signal: AbortSignal): AsyncGenerator<Verdict>;
};

type Watcher = { readonly resource: string; readonly pending: Map<string, Verdict>; wake(): void };

export function createBoard(): Board {
  const present = new Map<string, Verdict>();
  const watchers = new Set<Watcher>();
  const keyOf = (resource: string, instance: string): string => `${resource}.${instance}`;
  return {
    post(verdict) {
      const key = keyOf(verdict.resource, verdict.instance);
      present.set(key, verdict);
      for (const watcher of watchers) {
        if (watcher.resource !== "" && watcher.resource !== verdict.resource) continue;
        watcher.pending.set(key, verdict);
        watcher.wake();
      }
    },
    forget(resource, instance) {
      present.delete(keyOf(resource, instance));
      for (const watcher of watchers) watcher.pending.delete(keyOf(resource, instance));
    },
    async *watch(resource, signal) {
      const first = [...present].filter(([, verdict]) => resource === "" || verdict.resource === resource);
      const watcher: Watcher = { resource, pending: new Map(first), wake: () => undefined };
      const wake = (): void => watcher.wake();
      watchers.add(watcher);
      signal.addEventListener("abort", wake);
      try {
        while (!signal.aborted) {
          const next = watcher.pending.entries().next().value;
          if (next) {
            watcher.pending.delete(next[0]);
            yield next[1];
          } else await new Promise<void>((resolve) => (watcher.wake = resolve));
        }
      } finally {
        signal.removeEventListener("abort", wake);
        watchers.delete(watcher);
      }
    },
  };
}
