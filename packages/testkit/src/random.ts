/** Seeded random numbers: the same seed gives the same run on every machine. sfc32 (Chris Doty-Humphrey, PractRand). */

export type Random = {
  /** Uniform in [0, 1), 32 bits of it. */
  next(): number;
  /** Uniform integer in [low, high). */
  integer(low: number, high: number): number;
  /** Standard normal (Box and Muller, 1958). */
  normal(): number;
  /** Exponential with the given mean: the gaps of a Poisson process. */
  exponential(mean: number): number;
  pick<T>(items: readonly T[]): T;
};

const WARM_UP_ROUNDS = 12;

export function seededRandom(seed: number): Random {
  const state = Uint32Array.of(0x9e3779b9, seed, Math.floor(seed / 0x1_0000_0000), 1);
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) step(state);
  const next = () => step(state) / 0x1_0000_0000;
  return {
    next,
    integer: (low, high) => low + Math.floor(next() * (high - low)),
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    exponential: (mean) => -mean * Math.log(1 - next()),
    pick: (items) => {
      if (items.length === 0) throw new RangeError("nothing to pick from");
      return items[Math.floor(next() * items.length)]!;
    },
  };
}

/** Advances the state in place; the arithmetic wraps at 32 bits because it is stored in a Uint32Array. */
function step(state: Uint32Array): number {
  const [a, b, c, counter] = state as unknown as [number, number, number, number];
  const out = (a + b + counter) >>> 0;
  state[0] = b ^ (b >>> 9);
  state[1] = c + (c << 3);
  state[2] = ((c << 21) | (c >>> 11)) + out;
  state[3] = counter + 1;
  return out;
}
