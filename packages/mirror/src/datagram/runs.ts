/**
 * Which packet numbers have arrived, as runs above a floor: the receiver's half of loss detection. A number counts once,
 * whatever is replayed; how late the latest straggler came tells the sender how much disorder is not loss.
 */

/** Alternating lengths of received and missing numbers, from the floor up to the highest; received first, maybe 0. */
export type Runs = readonly number[];

/** A number so far above the highest is not ours: nobody may make us remember that much. */
export const AHEAD_MAX = 1 << 16;
const HALF = AHEAD_MAX / 32;

export interface Arrivals {
  /** False for one that has arrived before, lies below the floor or too far ahead. */
  add(packet: number): boolean;
  /** True when `add` would take it. Changes nothing. */
  wants(packet: number): boolean;
  /** The sender has decided about everything below; what never came is forgotten. */
  raiseFloor(floor: number): void;
  readonly floor: number;
  /** -1 before the first. */
  readonly highest: number;
  readonly count: number;
  /** Greatest distance below the highest at which a number still came, forgotten slowly. */
  readonly disorder: number;
  /** From the floor up, at most `max` of them. */
  runs(max: number): Runs;
}

export function arrivals(): Arrivals {
  /** One bit per number, a ring over twice what may be outstanding. */
  const bits = new Uint32Array(AHEAD_MAX / 16);
  let [floor, highest, count, disorder] = [0, -1, 0, 0];
  const has = (packet: number) => (bits[(packet >>> 5) & (bits.length - 1)]! >>> (packet & 31)) & 1;
  const wants = (packet: number) =>
    packet >= floor && packet < floor + AHEAD_MAX && packet <= highest + AHEAD_MAX && !has(packet);

  return {
    wants,
    add(packet) {
      if (!wants(packet)) return false;
      bits[(packet >>> 5) & (bits.length - 1)]! |= 1 << (packet & 31);
      count += 1;
      if (packet > highest) highest = packet;
      else disorder = Math.max(disorder, highest - packet);
      // A straggler's memory fades over some thousand packets, so that one odd moment does not slow repairs for ever.
      if (disorder > 0 && count % HALF === 0) disorder = Math.floor(disorder / 2);
      return true;
    },
    raiseFloor(next) {
      const end = Math.min(next, highest + 1);
      for (; floor < end; floor += 1) {
        bits[(floor >>> 5) & (bits.length - 1)]! &= ~(1 << (floor & 31));
      }
    },
    get floor() {
      return floor;
    },
    get highest() {
      return highest;
    },
    get count() {
      return count;
    },
    get disorder() {
      return disorder;
    },
    runs(max) {
      const lengths: number[] = [];
      let [from, present] = [floor, 1];
      for (let packet = floor; packet <= highest && lengths.length < max; packet += 1) {
        if (has(packet) === present) continue;
        lengths.push(packet - from);
        [from, present] = [packet, 1 - present];
      }
      if (lengths.length < max && from <= highest) lengths.push(highest + 1 - from);
      return lengths;
    },
  };
}
