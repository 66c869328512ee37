/**
 * Applies durable deltas and shows them to readers, in order. Those that wait while one step is under way become the next step together. A
 * step that fails is tried again: a full disk is given all the time it needs, but a state that refuses its changes was
 * altered by somebody else, and then it has to be looked at anew. An application that cannot be brought to a version is
 * asked again, and holds up nothing but the word that it is visible.
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
  /** Resolves when nothing is being applied; check `waiting` then, it may have given up or been closed. */
  idle(): Promise<void>;
  /** Drops what waits. */
  forget(): void;
  close(): Promise<void>;
}

export function openApplier({
  apply,
  show,
  what,
  onApplied,
  onVisible,
  onBroken,
  onError,
}: {
  apply: (plan: Plan, position: Position) => Promise<void>;
  /** Brings readers to what was applied; left out, they see it at once. */
  show?: ((position: Position) => Promise<void>) | undefined;
  what: string;
  onApplied: (position: Position) => void;
  onVisible: (position: Position) => void;
  /** It has given up; what waits is kept until `forget`. */
  onBroken: (error: MirrorError) => void;
  onError: (error: MirrorError) => void;
}): Applier {
  const stop = new AbortController();
  let queue: Durable[] = [];
  let running: Promise<void> | undefined;
  /** The last that was applied. */
  let newest: Position | undefined;
  let rush = Promise.withResolvers<void>();
  let reported = "";

  /** Undefined when it is done. */
  async function attempt(batch: readonly Durable[]): Promise<MirrorError | undefined> {
    try {
      await apply(foldChanges(batch.flatMap((delta) => delta.staged)), batch.at(-1)!.position);
      return undefined;
    } catch (error) {
      return diskError(`applying to ${what}`, error);
    }
  }

  /** True when readers see it; whoever is in a hurry is not kept waiting, and hears of it later. */
  async function shown(position: Position): Promise<boolean> {
    try {
      await show?.(position);
    } catch (error) {
      const failure = diskError(`showing version ${position.version} to the application of ${what}`, error);
      if (failure.message !== reported) onError(failure);
      reported = failure.message;
      return false;
    }
    reported = "";
    if (!stop.signal.aborted && newest === position) onVisible(position);
    return true;
  }

  async function showPatiently(position: Position): Promise<void> {
    while (newest === position && !stop.signal.aborted && !(await shown(position)))
      await sleep(RETRY_MS, undefined, { signal: stop.signal }).catch(() => undefined);
  }

  async function showNow(position: Position): Promise<void> {
    newest = position;
    if (!show) return onVisible(position);
    rush = Promise.withResolvers();
    const first = shown(position).then((done) => {
      if (!done) setTimeout(() => void showPatiently(position), RETRY_MS).unref();
    });
    // The next step waits for this one to be seen: an application that is reading must not meet two versions.
    await Promise.race([first, rush.promise]);
  }

  async function run(): Promise<void> {
    let failures = 0;
    while (queue.length > 0 && !stop.signal.aborted) {
      const batch = queue.slice();
      const error = await attempt(batch);
      if (!error) {
        failures = 0;
        queue = queue.slice(batch.length);
        const { position } = batch.at(-1)!;
        onApplied(position);
        await showNow(position);
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
      rush.resolve();
      while (running !== undefined) await running;
    },
    forget() {
      newest = undefined;
      queue = [];
    },
    async close() {
      stop.abort();
      rush.resolve();
      while (running !== undefined) await running;
    },
  };
}
