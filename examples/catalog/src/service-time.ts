/**
 * How long each request keeps a worker: lognormal around a mean, from a seed, so that the service saturates at the same
 * rate on every machine. A spread of 0.4 keeps the tail of a single request well under a 200 ms objective: what exceeds
 * it is queueing, which is what the demo is about.
 */

const SPREAD = 0.4;
const COLD_FACTOR = 2;

/** Uniform numbers in [0, 1) from a seed (mulberry32, public domain). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** One normal number from two uniform ones (Box and Muller 1958). */
function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Draws service times with mean `meanMs`, doubled while the cache is cold. */
export function createServiceTime({
  meanMs,
  seed,
}: {
  meanMs: number;
  seed: number;
}): (cold: boolean) => number {
  const random = seededRandom(seed);
  const location = Math.log(meanMs) - SPREAD ** 2 / 2;
  return (cold) => Math.exp(location + SPREAD * normal(random)) * (cold ? COLD_FACTOR : 1);
}
