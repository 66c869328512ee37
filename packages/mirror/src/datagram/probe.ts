/**
 * What a few small datagrams tell before a seed: whether UDP gets through, how long the way is, how much is lost and how
 * large a packet may be. The decision from it is choice.ts; here is only the counting. Time is passed in.
 */

import { MTU_MAX, MTU_MIN } from "./packets.ts";

/** Large ones first and each size thrice, at once: a router's word about the size comes too late to have them split. */
const SIZES = [MTU_MAX, 1400, MTU_MIN] as const;
const COPIES = 3;
const SMALL_COUNT = 64;
const SMALL_BYTES = 100;
const PROBES_PER_TRY = SIZES.length * COPIES + SMALL_COUNT;
const TURN_COUNT = 2;
const TRIES = 3;
export const PROBES_MAX = PROBES_PER_TRY * TRIES;
const TRY_MS = 400;
/** After the latest answer the next has so long, and half a round trip. */
const GRACE_MS = 30;

export type PathProbe =
  | { readonly answered: false }
  | {
      readonly answered: true;
      readonly rttMs: number;
      /** Of the round trips. */
      readonly lossShare: number;
      readonly mtu: number;
    };

export interface Prober {
  /** Numbers and IP packet sizes to send now; asked about every ms. */
  due(nowMs: number): { number: number; bytes: number }[];
  hear(number: number, nowMs: number): void;
  /** Once it is known. */
  result(nowMs: number): PathProbe | undefined;
}

export function prober(startMs: number, mtuMax: number = MTU_MAX): Prober {
  const sentMs: number[] = [];
  const sizes: number[] = [];
  const waiting: number[] = [];
  const heard = new Set<number>();
  let [tries, lastHeardMs, rttMs] = [0, Number.NaN, Number.POSITIVE_INFINITY];

  return {
    due(nowMs) {
      const isTime = heard.size === 0 && tries < TRIES && nowMs >= startMs + tries * TRY_MS;
      if (isTime) {
        tries += 1;
        waiting.push(
          ...SIZES.filter((size) => size <= mtuMax).flatMap((size) => Array<number>(COPIES).fill(size)),
        );
        waiting.push(...Array<number>(SMALL_COUNT).fill(SMALL_BYTES));
      }
      // The rest a few at a time: a train of them would measure how fast we seal, and not the way.
      return waiting.splice(0, isTime ? waiting.length - SMALL_COUNT : TURN_COUNT).map((bytes) => {
        sizes.push(bytes);
        sentMs.push(nowMs);
        return { number: sizes.length - 1, bytes };
      });
    },
    hear(number, nowMs) {
      const sentAt = sentMs[number];
      if (sentAt === undefined || heard.has(number)) return;
      heard.add(number);
      rttMs = Math.min(rttMs, Math.max(0.01, nowMs - sentAt));
      lastHeardMs = nowMs;
    },
    result(nowMs) {
      const tryMs = startMs + (TRIES - 1) * TRY_MS;
      if (heard.size === 0)
        return nowMs - tryMs > 2 * TRY_MS && waiting.length === 0 ? { answered: false } : undefined;
      if (waiting.length > 0) return undefined;
      if (heard.size < sizes.length && nowMs < lastHeardMs + GRACE_MS + rttMs / 2) return undefined;
      const perTry = sizes.length / tries;
      const small = [...heard].filter((number) => sizes[number] === SMALL_BYTES);
      // Of an earlier try nothing may have come because nobody was there yet: only tries that were heard count.
      const triesHeard = new Set([...heard].map((number) => Math.floor(number / perTry))).size;
      const mtu = Math.max(MTU_MIN, ...[...heard].map((number) => sizes[number]!));
      return { answered: true, rttMs, lossShare: 1 - small.length / (triesHeard * SMALL_COUNT), mtu };
    },
  };
}
