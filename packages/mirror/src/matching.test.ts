import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import fc from "fast-check";
import { BLOCK_BYTES, hashesOf } from "./blocks.ts";
import { type MatchedPiece, matchMoved } from "./matching.ts";

async function matched(before: Buffer, after: Buffer, first = 0): Promise<MatchedPiece[]> {
  const pieces: MatchedPiece[] = [];
  const read = async (buffer: Uint8Array, offset: number) => {
    const part = after.subarray(offset, offset + buffer.length);
    buffer.set(part);
    return part.length;
  };
  const old = { hashes: hashesOf(before, BLOCK_BYTES), size: before.length };
  for await (const piece of matchMoved({ old, first, read })) pieces.push(piece);
  return pieces;
}

/** The new version from what was found of it, and how many bytes had to be sent. */
function rebuilt(
  before: Buffer,
  { pieces, size, first = 0 }: { pieces: readonly MatchedPiece[]; size: number; first?: number },
): { after: Buffer; sent: number } {
  const after = Buffer.alloc(size);
  const hashes = new Map<number, Uint8Array>();
  let sent = 0;
  for (const { literal, copied } of pieces) {
    literal.indexes.forEach((index, at) => {
      const data = literal.data.subarray(at * BLOCK_BYTES, (at + 1) * BLOCK_BYTES);
      after.set(data, index * BLOCK_BYTES);
      hashes.set(index, literal.hashes.subarray(at * 20, (at + 1) * 20));
      sent += data.length;
    });
    let at = 0;
    for (const run of copied.runs) {
      before.copy(after, run.first * BLOCK_BYTES, run.offset, run.offset + run.count * BLOCK_BYTES);
      for (let block = 0; block < run.count; block += 1, at += 1)
        hashes.set(run.first + block, copied.hashes.subarray(at * 20, (at + 1) * 20));
    }
  }
  const indexes = [...hashes.keys()].sort((a, b) => a - b);
  const count = Math.ceil(size / BLOCK_BYTES);
  assert.deepEqual(
    indexes,
    Array.from({ length: count - first }, (_, at) => first + at),
    "each block once",
  );
  const expected = hashesOf(after.subarray(first * BLOCK_BYTES), BLOCK_BYTES);
  assert.ok(
    Buffer.concat(indexes.map((index) => hashes.get(index)!)).equals(expected),
    "hashes of the contents",
  );
  return { after, sent };
}

test("a byte at the head of a file costs two blocks", async () => {
  const before = randomBytes(5 * 1024 * 1024 + 77);
  const after = Buffer.concat([Buffer.from("x"), before]);
  const { after: again, sent } = rebuilt(before, {
    pieces: await matched(before, after),
    size: after.length,
  });
  assert.ok(again.equals(after));
  assert.ok(sent <= 2 * BLOCK_BYTES, `${sent} bytes`);
});

test("a cut, a move and a doubling are found as well", async () => {
  const before = randomBytes(3 * 1024 * 1024);
  const [one, two] = [before.subarray(0, 1_500_001), before.subarray(1_500_001)];
  for (const after of [two, Buffer.concat([two, one]), Buffer.concat([before, before]), before]) {
    const { after: again, sent } = rebuilt(before, {
      pieces: await matched(before, after),
      size: after.length,
    });
    assert.ok(again.equals(after));
    assert.ok(sent <= 4 * BLOCK_BYTES, `${sent} bytes`);
  }
});

test("whatever was changed, the new version is put together exactly", async () => {
  const edit = fc.record({
    at: fc.nat(200_000),
    cut: fc.oneof(fc.nat(3), fc.nat(50_000)),
    insert: fc.oneof(fc.nat(3), fc.nat(20_000)),
    zeros: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 200_000 }),
      fc.array(edit, { maxLength: 4 }),
      fc.nat(3),
      async (size, edits, first) => {
        const before = randomBytes(size);
        let after = before;
        for (const { at, cut, insert, zeros } of edits) {
          const added = zeros ? Buffer.alloc(insert) : randomBytes(insert);
          after = Buffer.concat([after.subarray(0, at), added, after.subarray(at + cut)]);
        }
        const from = Math.min(first, Math.floor(after.length / BLOCK_BYTES));
        const pieces = await matched(before, after, from);
        const { after: again } = rebuilt(before, { pieces, size: after.length, first: from });
        assert.ok(again.subarray(from * BLOCK_BYTES).equals(after.subarray(from * BLOCK_BYTES)));
      },
    ),
    { numRuns: 60 },
  );
});

test("files of one block over and over, and of nothing in common, end as well", async () => {
  const same = Buffer.alloc(300 * BLOCK_BYTES, 7);
  const shifted = Buffer.concat([Buffer.from("x"), same]);
  const { sent } = rebuilt(same, { pieces: await matched(same, shifted), size: shifted.length });
  assert.ok(sent <= 2 * BLOCK_BYTES);
  const other = randomBytes(2 * 1024 * 1024);
  const { sent: all } = rebuilt(same, { pieces: await matched(same, other), size: other.length });
  assert.equal(all, other.length);
});
