/**
 * Lets one capture through at a time. Calls that come while one is under way share the next one: it begins after all of
 * them, so it includes whatever they waited for (group commit).
 */

export interface Turnstile<T> {
  /** Runs `work`, or joins the run that has not begun yet. */
  shared(): Promise<T>;
  /** Runs something else while nothing runs here. */
  exclusive<R>(other: () => Promise<R>): Promise<R>;
}

export function turnstile<T>(work: () => Promise<T>): Turnstile<T> {
  let last: Promise<unknown> = Promise.resolve();
  let waiting: Promise<T> | undefined;

  function exclusive<R>(other: () => Promise<R>): Promise<R> {
    const done = last.then(other);
    // Whoever asked gets the failure; the next one begins all the same.
    last = done.catch(() => undefined);
    return done;
  }

  return {
    exclusive,
    shared() {
      waiting ??= exclusive(() => {
        waiting = undefined;
        return work();
      });
      return waiting;
    },
  };
}
