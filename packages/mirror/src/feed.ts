/**
 * The primary's side of one shadow: keeps a session with it (feed-session.ts), for ever and with growing pauses between
 * the attempts, and says how far the shadow is.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { POSITION_ZERO } from "@understudy/model/position";
import type { ShadowProgress } from "./engine.ts";
import {
  type FeedSession,
  type FeedSource,
  type FeedTarget,
  type Known,
  openFeedSession,
} from "./feed-session.ts";

const BACKOFF_MIN_MS = 20;
const BACKOFF_MAX_MS = 1_000;

export interface Feed {
  /** A version was sealed. */
  wake(): void;
  /** As of `nowMs` since boot. */
  progress(nowMs: number): ShadowProgress;
  close(): Promise<void>;
}

export function openFeed(source: FeedSource, target: FeedTarget): Feed {
  const stop = new AbortController();
  const known: Known = {
    phase: "connecting",
    durable: POSITION_ZERO,
    visible: POSITION_ZERO,
    heardAtMs: source.bootMs(),
    seedBytes: 0,
    deltaBytes: 0,
    seedDoneBytes: 0,
    seedTotalBytes: 0,
    transport: "tls",
    udpAgainAtMs: 0,
  };
  let session: FeedSession | undefined;

  async function feed(): Promise<void> {
    let [backoffMs, reported] = [BACKOFF_MIN_MS, ""];
    while (!stop.signal.aborted) {
      try {
        const link = await source.transport.connect(target.address, stop.signal);
        session = openFeedSession(source, target, { known, link });
        await session.run(stop.signal);
      } catch (error) {
        if (!stop.signal.aborted && (error as Error).message !== reported) source.onError(error as Error);
        reported = (error as Error).message;
      }
      if (session?.welcomed) [backoffMs, reported] = [BACKOFF_MIN_MS, ""];
      session = undefined;
      known.phase = "disconnected";
      source.onChange();
      await sleep(backoffMs, undefined, { signal: stop.signal }).catch(() => undefined);
      backoffMs = Math.min(backoffMs * 2, BACKOFF_MAX_MS);
    }
  }

  const done = feed();
  return {
    wake: () => session?.pump(),
    progress(nowMs) {
      const { heardAtMs, udpAgainAtMs: _, ...rest } = known;
      const lag = source.seals.lagOf(known.visible.version, { nowMs, heardAtMs });
      return { instance: target.instance, incarnation: target.incarnation, ...rest, ...lag };
    },
    async close() {
      stop.abort();
      await done;
    },
  };
}
