/**
 * A transport whose links obey a rate limit. Whoever may wait (a first copy) waits as a seed, whoever only looks whether it may
 * send (deltas) is let through as a delta.
 */

import type { RateLimit } from "./rate-limit.ts";
import type { Link, Transport } from "./transport.ts";

/** The limit for an address, asked at each connection; undefined: none. */
export type LimitOf = (address: string) => RateLimit | undefined;

export function limitedTransport(transport: Transport, limitOf: LimitOf): Transport {
  return {
    ...transport,
    async connect(address, signal) {
      const link = await transport.connect(address, signal);
      const limit = limitOf(address);
      return limit ? limitedLink(link, limit) : link;
    },
  };
}

function limitedLink(link: Link, limit: RateLimit): Link {
  const closed = new AbortController();
  const listeners: (() => void)[] = [];
  let waiting = false;

  /** Somebody was told to wait for the rate: nothing in the socket will tell it when that is over. */
  async function tellWhenOpen(): Promise<void> {
    if (waiting) return;
    waiting = true;
    await limit.untilOpen("delta", closed.signal);
    waiting = false;
    if (closed.signal.aborted) return;
    for (const listener of listeners) listener();
  }

  return {
    peer: link.peer,
    send(frames) {
      limit.spend(frames.reduce((sum, frame) => sum + frame.length, 0));
      link.send(frames);
    },
    ready() {
      if (limit.open("delta")) return link.ready();
      void tellWhenOpen();
      return false;
    },
    async untilReady() {
      await limit.untilOpen("seed", closed.signal);
      await link.untilReady();
    },
    onDrain(listener) {
      listeners.push(listener);
      link.onDrain(listener);
    },
    async *frames() {
      try {
        yield* link.frames();
      } finally {
        closed.abort();
      }
    },
    close() {
      closed.abort();
      link.close();
    },
  };
}
