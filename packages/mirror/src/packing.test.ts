import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import type { Change } from "./change.ts";
import type { MirrorError } from "./error.ts";
import { decodeFrame, encodeFrame, FRAME_BYTES_MAX } from "./frames.ts";
import { packFrames, unpackFrame } from "./packing.ts";

const removal = (path: string): Uint8Array =>
  encodeFrame({ type: "change", change: { op: "remove", path } satisfies Change });
const blocks = (data: Uint8Array): Uint8Array =>
  encodeFrame({ type: "change", change: { op: "blocks", path: "f", blockSize: 65_536, indexes: [0], data } });

function unpacked(frames: readonly Uint8Array[]): string[] {
  const payloads = frames.flatMap((frame) => {
    const decoded = decodeFrame(frame.subarray(4));
    return decoded.type === "packed" ? unpackFrame(decoded) : [frame.subarray(4)];
  });
  return payloads.map((payload) => Buffer.from(payload).toString("hex"));
}

const refused = (work: () => unknown) =>
  assert.throws(work, (error: MirrorError) => error.code === "garbage" && error.message !== "");

test("packed frames unpack to the same frames in the same order", () => {
  const frame = fc.oneof(
    fc.string({ minLength: 1, maxLength: 40 }).map(removal),
    fc.integer({ min: 1, max: 9_000 }).map((size) => blocks(Buffer.alloc(size, "text "))),
    fc.integer({ min: 1, max: 9_000 }).map((size) => blocks(randomBytes(size))),
  );
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 60 }), (frames) => {
      const plain = frames.map((each) => Buffer.from(each.subarray(4)).toString("hex"));
      assert.deepEqual(unpacked(packFrames(frames)), plain);
    }),
  );
});

test("a thousand names cost a few bytes each, random bytes nothing but themselves", () => {
  const names = Array.from({ length: 1_000 }, (_, at) => removal(`folder/of/some/depth/file-${at}.json`));
  const size = (frames: readonly Uint8Array[]) => frames.reduce((sum, each) => sum + each.length, 0);
  assert.ok(size(packFrames(names)) < size(names) / 4);
  const random = [blocks(randomBytes(60_000))];
  assert.equal(packFrames(random)[0], random[0]);
});

test("what does not unpack to what it says is refused", () => {
  const plain = Buffer.concat([removal("a"), removal("b")]);
  const packed = (length: number, bytes: Uint8Array) =>
    ({ type: "packed", length, data: zstdCompressSync(bytes) }) as const;
  assert.equal(unpackFrame(packed(plain.length, plain)).length, 2);
  refused(() => unpackFrame(packed(plain.length - 1, plain)));
  refused(() => unpackFrame(packed(plain.length + 1, plain)));
  refused(() => unpackFrame(packed(plain.length - 1, plain.subarray(0, -1))));
  refused(() => unpackFrame({ ...packed(plain.length, plain), data: plain }));
  const inner = encodeFrame(packed(plain.length, plain));
  refused(() => unpackFrame(packed(inner.length, inner)));
  // A bomb: sixteen megabytes in a few hundred bytes, said to be short, or more than any frame.
  const bomb = Buffer.alloc(FRAME_BYTES_MAX + 1);
  refused(() => unpackFrame(packed(1_000, bomb)));
  refused(() => unpackFrame(packed(bomb.length, bomb)));
});
