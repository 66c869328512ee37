/**
 * Sends the newest: one at a time for each key, and while it is on its way only the newest that came meanwhile waits. A slow
 * receiver gets fewer, never old ones, and nothing piles up.
 */

/** `send` deals with its own failures; it must not reject. `skipped` hears of each item that a newer one has overtaken. */
export function sendLatest<T extends object>(
  send: (item: T) => Promise<void>,
  skipped: () => void = () => undefined,
): (key: string, item: T) => void {
  /** A key is here while something of it is on its way. */
  const waiting = new Map<string, T | undefined>();

  async function sendAll(key: string, first: T): Promise<void> {
    for (let next: T | undefined = first; next; next = waiting.get(key)) {
      waiting.set(key, undefined);
      await send(next);
    }
    waiting.delete(key);
  }

  return (key, item) => {
    if (!waiting.has(key)) return void sendAll(key, item);
    if (waiting.get(key)) skipped();
    waiting.set(key, item);
  };
}
