import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FRAME_BYTES_MAX, LENGTH_BYTES } from "./frames.ts";
import { frameAssembler, frameSplitter } from "./splitter.ts";

const payloads = fc.array(fc.uint8Array({ minLength: 2, maxLength: 300 }), { maxLength: 20 });
const cuts = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 20 });

function streamOf(frames: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    frames.flatMap((frame) => {
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32LE(frame.length);
      return [length, frame];
    }),
  );
}

/** Cut as the numbers say, over and over. */
function* chunksOf(stream: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < stream.length; turn += 1) {
    const size = sizes[turn % sizes.length]!;
    yield stream.subarray(at, at + size);
    at += size;
  }
}

const hex = (frames: readonly Uint8Array[]) => frames.map((each) => Buffer.from(each).toString("hex"));

test("however a stream is cut, the frames are the same, also when each chunk is overwritten after it was read", () => {
  fc.assert(
    fc.property(payloads, cuts, (frames, sizes) => {
      const [splitter, assembler] = [frameSplitter(), frameAssembler()];
      const split: Uint8Array[] = [];
      const assembled: Uint8Array[] = [];
      const lent = Buffer.alloc(400);
      for (const chunk of chunksOf(streamOf(frames), sizes)) {
        split.push(...splitter.push(chunk));
        chunk.copy(lent);
        assembled.push(...assembler.push(lent.subarray(0, chunk.length)));
        lent.fill(0xff);
      }
      assert.deepEqual(hex(split), hex(frames));
      assert.deepEqual(hex(assembled), hex(frames));
    }),
    { seed: 7 },
  );
});

test("a length that no frame has is refused as soon as it is there", () => {
  for (const length of [0, 1, FRAME_BYTES_MAX + 1, 0xffff_ffff]) {
    const prefix = Buffer.alloc(LENGTH_BYTES);
    prefix.writeUInt32LE(length);
    for (const reader of [frameSplitter(), frameAssembler()])
      assert.throws(() => reader.push(prefix), { code: "garbage" });
  }
});
