/**
 * A bounded pool of workers before a bounded queue: what really limits this service, whatever the machine's
 * CPU does, unless its requests compute.
 * A worker is held for the service time and then does the work; nothing that waits for others may run inside it.
 */

export type Ran<T> =
  | { readonly ran: true; readonly value: T }
  | { readonly ran: false; readonly why: "full" | "gone" };

export type Workers = {
  /** Waits for a worker and its service time, then calls `work`. Not run when the queue is full or nobody wants it by then. */
  run<T>(work: () => T, wanted: () => boolean): Promise<Ran<T>>;
  readonly size: number;
  busy(): number;
  queued(): number;
};

export function createWorkers(options: {
  readonly size: number;
  readonly queueMax: number;
  readonly serviceMs: () => number;
  /** What a request costs beside its `work`. */
  readonly compute?: () => void;
}): Workers {
  const queue: Array<() => void> = [];
  let busy = 0;

  function take(): Promise<void> {
    if (busy < options.size) {
      busy += 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => queue.push(resolve));
  }

  /** Hands the worker to the next in the queue, if there is one. */
  function giveBack(): void {
    const next = queue.shift();
    if (next) next();
    else busy -= 1;
  }

  return {
    size: options.size,
    busy: () => busy,
    queued: () => queue.length,
    async run(work, wanted) {
      if (busy >= options.size && queue.length >= options.queueMax) return { ran: false, why: "full" };
      await take();
      try {
        if (!wanted()) return { ran: false, why: "gone" };
        await new Promise((resolve) => setTimeout(resolve, options.serviceMs()));
        options.compute?.();
        return { ran: true, value: work() };
      } finally {
        giveBack();
      }
    },
  };
}
