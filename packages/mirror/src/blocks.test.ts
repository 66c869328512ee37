import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BLOCK_BYTES, HASH_BYTES, hashesOf, likelyHashes } from "./blocks.ts";

const contents = fc
  .array(fc.nat(3), { minLength: 1, maxLength: 6 })
  .chain((fills) => fc.tuple(fc.constant(fills), fc.integer({ min: 1, max: BLOCK_BYTES })))
  .map(([fills, last]) =>
    Buffer.concat(fills.map((fill, at) => Buffer.alloc(at === fills.length - 1 ? last : BLOCK_BYTES, fill))),
  );

test("trusting what is known of blocks gives their hashes, whatever of it is out of date or not known", () => {
  fc.assert(
    fc.property(contents, contents, (data, before) => {
      const old = hashesOf(before, BLOCK_BYTES);
      const known = (at: number) => {
        const hash = old.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES);
        return hash.length > 0 ? hash : Buffer.alloc(HASH_BYTES);
      };
      assert.deepEqual(likelyHashes(data, BLOCK_BYTES, known), hashesOf(data, BLOCK_BYTES));
    }),
    { seed: 11 },
  );
});

test("a known hash is taken at its word when the CRC agrees: that is what it saves", () => {
  const data = Buffer.alloc(BLOCK_BYTES, 1);
  const word = hashesOf(data, BLOCK_BYTES);
  word[0]! ^= 1;
  assert.deepEqual(
    likelyHashes(data, BLOCK_BYTES, () => word),
    word,
  );
});
