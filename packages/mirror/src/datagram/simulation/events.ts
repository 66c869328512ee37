/** Simulated time: work at given moments, in order. A binary heap; ties go by order of entry, so that a run repeats itself. */

export interface Events {
  readonly nowMs: number;
  at(atMs: number, work: () => void): void;
  /** Runs everything up to `endMs`, or until `done`. */
  run(endMs: number, done?: () => boolean): void;
}

type Due = { readonly atMs: number; readonly order: number; readonly work: () => void };

export function events(): Events {
  const heap: Due[] = [];
  let [nowMs, order] = [0, 0];
  const before = (a: Due, b: Due) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

  function push(due: Due): void {
    let at = heap.length;
    heap.push(due);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(due, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = due;
  }

  function pop(): Due {
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }

  return {
    get nowMs() {
      return nowMs;
    },
    at(atMs, work) {
      push({ atMs: Math.max(atMs, nowMs), order, work });
      order += 1;
    },
    run(endMs, done = () => false) {
      while (heap.length > 0 && heap[0]!.atMs <= endMs && !done()) {
        const due = pop();
        nowMs = due.atMs;
        due.work();
      }
      if (!done()) nowMs = endMs;
    },
  };
}
