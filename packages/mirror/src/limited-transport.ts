/**
 * A transport whose links obey a rate limit. Whoever may wait (a first copy) waits as a seed, whoever only looks whether it may
 * send (deltas) is let through as a delta.
 */

import type { RateLimit } from "./rate-limit.ts";
import type { Link, Transport } from "./transport.ts";

export type Limit = Omit<RateLimit, "setRate">;

export type LinkSettings = {
  readonly limit?: Limit;
  /** Differentiated services code point of what is sent, 0..63. */
  readonly dscp?: number;
};

/** How to use the link to an address, asked at each connection; undefined: as fast as it goes. */
export type LinkOf = (address: string) => LinkSettings | undefined;

export function limitedTransport(transport: Transport, linkOf: LinkOf): Transport {
  return {
    ...transport,
    async connect(address, signal) {
      const link = await transport.connect(address, signal);
      const limit = linkOf(address)?.limit;
      return limit ? limitedLink(link, limit) : link;
    },
  };
}

function limitedLink(link: Link, limit: Limit): Link {
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
    localHost: link.localHost,
    remoteHost: link.remoteHost,
    exportKeys: (context) => link.exportKeys(context),
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
    async untilAllowed(bytes) {
      await limit.untilOpen("seed", closed.signal);
      limit.spend(bytes);
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
