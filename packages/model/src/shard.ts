/**
 * Which of several processes looks after a resource. Rendezvous hashing (Thaler & Ravishankar, 1998): a resource belongs to
 * the shard that scores highest for its name, so every process finds the same answer by itself, and one shard more takes its
 * part from all others and moves nothing else.
 */

export type Shard = { readonly index: number; readonly of: number };

/** One process for all resources. */
export const WHOLE: Shard = { index: 0, of: 1 };
export const SHARDS_MAX = 256;

/** "0/2" is the first of two; undefined when it is no such text. */
export function parseShard(text: string): Shard | undefined {
  const [, index, of] = /^(\d{1,3})\/(\d{1,3})$/.exec(text)?.map(Number) ?? [];
  if (index === undefined || of === undefined || index >= of || of > SHARDS_MAX) return undefined;
  return { index, of };
}

export function owns({ index, of }: Shard, resource: string): boolean {
  return shardOf(resource, of) === index;
}

/** Index of the shard, of so many, that a resource belongs to. */
export function shardOf(resource: string, shards: number): number {
  const hash = hashOf(resource);
  let owner = 0;
  let highest = -1;
  for (let index = 0; index < shards; index += 1) {
    const score = mix(hash ^ Math.imul(index + 1, 0x9e3779b1));
    if (score > highest) [owner, highest] = [index, score];
  }
  return owner;
}

/** FNV-1a over a name's characters. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i += 1) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash;
}

/** The end of MurmurHash3: each bit of the input turns about half of the bits of the result. */
function mix(value: number): number {
  let bits = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
