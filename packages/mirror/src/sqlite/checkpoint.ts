/**
 * Copies the log of a replica into its database on a thread of its own, because that waits for the disk and the thread
 * that applies must not. Passive checkpoints only: they never make a reader or the applier wait.
 */

import { Worker } from "node:worker_threads";

export interface Checkpointer {
  /** Starts a checkpoint unless one is under way. */
  start(): void;
  idle(): boolean;
  /** Waits until none is under way, and ends the thread. */
  close(): void;
}

const IDLE = 0;
const BUSY = 1;
const CLOSE_WAIT_MS = 10_000;

export function createCheckpointer(path: string): Checkpointer {
  const state = new Int32Array(new SharedArrayBuffer(4));
  let worker: Worker | undefined;
  const ensureWorker = (): Worker => {
    if (worker !== undefined) return worker;
    const started = new Worker(new URL("./checkpoint-thread.ts", import.meta.url), {
      workerData: { path, state },
    });
    // The next checkpoint starts another thread; and a log that keeps growing is in the end checkpointed by the
    // applier itself, which throws whatever is wrong (a full disk, say) to its caller.
    started.on("error", () => {
      worker = undefined;
      Atomics.store(state, 0, IDLE);
    });
    started.unref();
    worker = started;
    return started;
  };
  return {
    idle: () => Atomics.load(state, 0) === IDLE,
    start() {
      if (Atomics.compareExchange(state, 0, IDLE, BUSY) === IDLE) ensureWorker().postMessage(IDLE);
    },
    close() {
      Atomics.wait(state, 0, BUSY, CLOSE_WAIT_MS);
      void worker?.terminate();
      worker = undefined;
    },
  };
}
