/**
 * The receiver's blocks between their first fragment and their turn: fragments in any order, once each, opened when
 * complete, handed on in order. A block whose seal is broken is asked for again, and too many of those end the session.
 */

import { type DatagramKeys, openBlock } from "./keys.ts";
import type { DataHeader } from "./packets.ts";

/** Blocks that may wait for those before them and for their consumer: 16 MiB. */
export const WINDOW_BLOCKS = 256;
/** Broken seals in one session. More than that is somebody at work, and TLS does not mind him. */
export const BROKEN_MAX = 64;

export interface Inbox {
  add(header: DataHeader, payload: Buffer): "kept" | "duplicate" | "outside";
  /** Blocks whose turn it is, in order. */
  ready(): Buffer[];
  /** The consumer has taken `count` more. */
  take(count: number): void;
  readonly taken: number;
  readonly limit: number;
  readonly duplicates: number;
  readonly broken: number;
  readonly redo: readonly { readonly block: number; readonly times: number }[];
}

type Parts = { readonly payloads: (Buffer | undefined)[]; have: number; total: number };

export function inbox(keys: DatagramKeys): Inbox {
  const parts = new Map<number, Parts>();
  const opened = new Map<number, Buffer>();
  const redone = new Map<number, number>();
  let [next, taken, duplicates, broken] = [0, 0, 0, 0];

  function finish(block: number, { payloads }: Parts): void {
    parts.delete(block);
    const plain = openBlock(keys, block, Buffer.concat(payloads as Buffer[]));
    if (plain) {
      opened.set(block, plain);
      redone.delete(block);
      return;
    }
    broken += 1;
    redone.set(block, (redone.get(block) ?? 0) + 1);
  }

  return {
    add({ block, fragment, isLast }, payload) {
      if (block >= taken + WINDOW_BLOCKS) return "outside";
      if (block < next || opened.has(block)) {
        duplicates += 1;
        return "duplicate";
      }
      const mine = parts.get(block) ?? { payloads: [], have: 0, total: 0 };
      parts.set(block, mine);
      if (mine.payloads[fragment]) {
        duplicates += 1;
        return "duplicate";
      }
      mine.payloads[fragment] = payload;
      mine.have += 1;
      if (isLast) mine.total = fragment + 1;
      if (mine.have === mine.total) finish(block, mine);
      return "kept";
    },
    ready() {
      const blocks: Buffer[] = [];
      for (let block = opened.get(next); block; block = opened.get(next)) {
        opened.delete(next);
        blocks.push(block);
        next += 1;
      }
      return blocks;
    },
    take(count) {
      taken = Math.min(next, taken + count);
    },
    get taken() {
      return taken;
    },
    get limit() {
      return taken + WINDOW_BLOCKS;
    },
    get duplicates() {
      return duplicates;
    },
    get broken() {
      return broken;
    },
    get redo() {
      return [...redone].map(([block, times]) => ({ block, times }));
    },
  };
}
