/**
 * Which states are worth saying: one that has changed at once, one that has not only so often that nobody takes it for
 * stale. Most shadows of a quiet resource are where they were; saying so five times a second was half of what we sent.
 */

import { equals } from "@bufbuild/protobuf";
import { type ReplicationState, ReplicationStateSchema } from "@understudy/wire/gen/replication";

const REPEAT_MIN_MS = 200;
const REPEAT_MAX_MS = 1_000;
/** So many words fit into the time after which a reader stops trusting the last one, so that some may be lost. */
const REPEATS_PER_STALENESS = 4;
/** What a timer and the clock's 10 ms may take off the time between two looks: it must not cost a whole look. */
const JITTER_MS = 20;

export type Repeats = {
  /** Those of `states`, of one resource, that are to be said now. */
  due(
    resource: string,
    of: {
      readonly states: readonly ReplicationState[];
      readonly maxStalenessMs: number;
      readonly nowMs: number;
    },
  ): ReplicationState[];
  forget(resource: string): void;
};

type Said = { readonly state: ReplicationState; readonly atMs: number };

export function createRepeats(): Repeats {
  const saidOf = new Map<string, ReadonlyMap<string, Said>>();
  return {
    due(resource, { states, maxStalenessMs, nowMs }) {
      const everyMs = repeatMs(maxStalenessMs);
      const before = saidOf.get(resource);
      const isDue = (state: ReplicationState) => {
        const said = before?.get(state.instance);
        return !said || nowMs - said.atMs >= everyMs - JITTER_MS || !isSame(said.state, state);
      };
      const due = states.filter(isDue);
      const fresh = new Map(due.map((state): [string, Said] => [state.instance, { state, atMs: nowMs }]));
      // Whoever is gone is forgotten with the state that no longer names it.
      const kept = states.map(({ instance }): [string, Said] => [
        instance,
        fresh.get(instance) ?? before!.get(instance)!,
      ]);
      saidOf.set(resource, new Map(kept));
      return due;
    },
    forget: (resource) => void saidOf.delete(resource),
  };
}

export function repeatMs(maxStalenessMs: number): number {
  return Math.min(REPEAT_MAX_MS, Math.max(REPEAT_MIN_MS, maxStalenessMs / REPEATS_PER_STALENESS));
}

/** Apart from the header, which holds the time. */
function isSame(a: ReplicationState, b: ReplicationState): boolean {
  return equals(ReplicationStateSchema, { ...a, header: undefined }, { ...b, header: undefined });
}
