/**
 * What was sent to a shadow and how far it has come with it. Positions are matched exactly, by version and root: after a
 * catch-up a shadow may still acknowledge something of the history it had before, under a higher number.
 */

import type { Position } from "@understudy/model/position";
import { baseOf, sameBase } from "./delta.ts";

/** Sent and not yet on the shadow's disk. */
const IN_FLIGHT_MAX = 64;
const IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024;

export interface SendWindow {
  add(position: Position, bytes: number): void;
  /** Nothing more may be sent until something is acknowledged. */
  full(): boolean;
  /** The newest of what was sent that is now on disk, and that is now shown; undefined when there is no news. */
  acknowledge(
    durable: Position,
    visible: Position,
  ): { durable: Position | undefined; visible: Position | undefined };
}

type Sent = { readonly position: Position; readonly bytes: number };

export function sendWindow({ countMax = IN_FLIGHT_MAX, bytesMax = IN_FLIGHT_BYTES_MAX } = {}): SendWindow {
  /** Oldest first; all of it not yet visible. */
  let sent: Sent[] = [];
  let durableCount = 0;
  let flyingBytes = 0;

  function countUpTo(position: Position): number {
    return sent.findIndex((each) => sameBase(baseOf(each.position), baseOf(position))) + 1;
  }

  return {
    add(position, bytes) {
      sent.push({ position, bytes });
      flyingBytes += bytes;
    },
    full: () => sent.length - durableCount >= countMax || flyingBytes >= bytesMax,
    acknowledge(durable, visible) {
      const before = durableCount;
      durableCount = Math.max(durableCount, countUpTo(durable));
      for (const { bytes } of sent.slice(before, durableCount)) flyingBytes -= bytes;
      const news = {
        durable: durableCount > before ? sent[durableCount - 1]!.position : undefined,
        visible: undefined as Position | undefined,
      };
      // What is not durable cannot be visible, whatever the shadow says.
      const seen = Math.min(countUpTo(visible), durableCount);
      if (seen === 0) return news;
      news.visible = sent[seen - 1]!.position;
      sent = sent.slice(seen);
      durableCount -= seen;
      return news;
    },
  };
}
