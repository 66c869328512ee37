/** Lets a caller wait for the load balancer's answer to a plan. */

import type { LbApplied } from "@understudy/wire/gen/lb";

const WAITING_MAX = 64;

export type Answers = {
  /** The first answer to this revision or a later one. */
  next(plan: { resource: string; revision: number }, signal: AbortSignal): Promise<LbApplied>;
  tell(resource: string, applied: LbApplied): void;
};

type Waiting = { readonly resource: string; readonly revision: number; resolve(applied: LbApplied): void };

/** Throws when too many wait already; rejects with the signal's reason. */
export function createAnswers(): Answers {
  const waiting = new Set<Waiting>();
  return {
    next({ resource, revision }, signal) {
      if (waiting.size >= WAITING_MAX)
        throw new RangeError(`${WAITING_MAX} callers wait for an answer already`);
      const { promise, resolve, reject } = Promise.withResolvers<LbApplied>();
      const one = { resource, revision, resolve };
      waiting.add(one);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
      return promise.finally(() => waiting.delete(one));
    },
    tell(resource, applied) {
      for (const one of waiting)
        if (one.resource === resource && applied.revision >= one.revision) one.resolve(applied);
    },
  };
}
