/**
 * Makes durable deltas visible, in order. Those that wait while one step is under way become the next step together. A
 * step that fails is tried again: a full disk is given all the time it needs, but a state that refuses its changes was
 * altered by somebody else, and then it has to be looked at anew.
 */

import { setTimeout as sleep } from "node:timers/promises";
import type { Position } from "@understudy/model/position";
import { diskError, type MirrorError } from "./error.ts";
import { foldChanges, type Plan, type Staged } from "./plan.ts";

const RETRY_MS = 500;
const ATTEMPTS_MAX = 6;

export type Durable = { readonly position: Position; readonly staged: readonly Staged[] };

export interface Applier {
  add(deltas: readonly Durable[]): void;
  readonly waiting: number;
  /** Resolves when nothing is under way; check `waiting` then, it may have given up or been closed. */
  idle(): Promise<void>;
  /** Drops what waits. */
  forget(): void;
  close(): Promise<void>;
}

export function openApplier({
  apply,
  what,
  onVisible,
  onBroken,
  onError,
}: {
  apply: (plan: Plan) => Promise<void>;
  what: string;
  onVisible: (position: Position) => void;
  /** It has given up; what waits is kept until `forget`. */
  onBroken: (error: MirrorError) => void;
  onError: (error: MirrorError) => void;
}): Applier {
  const stop = new AbortController();
  let queue: Durable[] = [];
  let running: Promise<void> | undefined;

  /** Undefined when it is done. */
  async function attempt(batch: readonly Durable[]): Promise<MirrorError | undefined> {
    try {
      await apply(foldChanges(batch.flatMap((delta) => delta.staged)));
      return undefined;
    } catch (error) {
      return diskError(`applying to ${what}`, error);
    }
  }

  async function run(): Promise<void> {
    let failures = 0;
    while (queue.length > 0 && !stop.signal.aborted) {
      const batch = queue.slice();
      const error = await attempt(batch);
      if (!error) {
        failures = 0;
        queue = queue.slice(batch.length);
        onVisible(batch.at(-1)!.position);
        continue;
      }
      if (failures === 0) onError(error);
      failures += error.code === "disk-full" && failures > 0 ? 0 : 1;
      if (failures >= ATTEMPTS_MAX) {
        onBroken(error);
        break;
      }
      await sleep(RETRY_MS, undefined, { signal: stop.signal }).catch(() => undefined);
    }
    // Here, and not when the promise settles: what is added from now on must start a new run.
    running = undefined;
  }

  return {
    add(deltas) {
      queue.push(...deltas);
      if (!stop.signal.aborted) running ??= run();
    },
    get waiting() {
      return queue.length;
    },
    async idle() {
      while (running !== undefined) await running;
    },
    forget() {
      queue = [];
    },
    async close() {
      stop.abort();
      while (running !== undefined) await running;
    },
  };
}
