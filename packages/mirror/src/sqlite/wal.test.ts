import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  buildFrames,
  buildLogHeader,
  CHECKSUM_ZERO,
  type ChainStart,
  checksum,
  FRAME_HEADER_BYTES,
  foldFrames,
  frameBytes,
  frameOffset,
  lockPage,
  parseFrames,
  parseLogHeader,
} from "./wal.ts";

const PLAIN = { noNullPrototype: true };
const PAGE_SIZE = 512;
const start = (over: Partial<ChainStart> = {}): ChainStart => ({
  pageSize: PAGE_SIZE,
  bigEndian: false,
  salt: { first: 7, second: 0xdeadbeef },
  chain: { first: 1, second: 2 },
  ...over,
});

const frame = fc.record(
  {
    page: fc.integer({ min: 1, max: 0xffffffff }),
    commitPages: fc.integer({ min: 0, max: 0xffffffff }),
    data: fc.uint8Array({ minLength: PAGE_SIZE, maxLength: PAGE_SIZE }),
  },
  PLAIN,
);
const frames = fc.array(frame, { minLength: 1, maxLength: 6 });

/** Straight from the format's description, with numbers that cannot overflow. */
function plainChecksum(bytes: Uint8Array, bigEndian: boolean): [bigint, bigint] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  let [first, second] = [0n, 0n];
  for (let at = 0; at < bytes.length; at += 8) {
    first = BigInt.asUintN(32, first + BigInt(view.getUint32(at, !bigEndian)) + second);
    second = BigInt.asUintN(32, second + BigInt(view.getUint32(at + 4, !bigEndian)) + first);
  }
  return [first, second];
}

describe("checksum", () => {
  it("is the one the format describes, in both byte orders and at any alignment", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ minLength: 8, maxLength: 8 }), { maxLength: 40 }),
        fc.boolean(),
        fc.integer({ min: 0, max: 3 }),
        (words, bigEndian, shift) => {
          const whole = Buffer.alloc(shift + words.length * 8);
          Buffer.concat(words).copy(whole, shift);
          const sum = checksum(whole.subarray(shift), CHECKSUM_ZERO, bigEndian);
          assert.deepEqual(
            [BigInt(sum.first), BigInt(sum.second)],
            plainChecksum(whole.subarray(shift), bigEndian),
          );
        },
      ),
    );
  });

  it("continues where another left off", () => {
    const bytes = Uint8Array.from({ length: 64 }, (_, index) => index * 5);
    const half = checksum(bytes.subarray(0, 24), CHECKSUM_ZERO, false);
    assert.deepEqual(checksum(bytes.subarray(24), half, false), checksum(bytes, CHECKSUM_ZERO, false));
  });
});

describe("log header", () => {
  const header = fc.record(
    {
      bigEndian: fc.boolean(),
      pageSize: fc.constantFrom(512, 1024, 4096, 65536),
      sequence: fc.integer({ min: 0, max: 0xffffffff }),
      salt: fc.record(
        {
          first: fc.integer({ min: 0, max: 0xffffffff }),
          second: fc.integer({ min: 0, max: 0xffffffff }),
        },
        PLAIN,
      ),
    },
    PLAIN,
  );

  it("reads back what it builds", () => {
    fc.assert(
      fc.property(header, (fields) => {
        const { bytes, chain } = buildLogHeader(fields);
        assert.deepEqual(parseLogHeader(bytes), { ...fields, chain });
      }),
    );
  });

  it("is refused when any bit has changed", () => {
    fc.assert(
      fc.property(header, fc.integer({ min: 0, max: 32 * 8 - 1 }), (fields, bit) => {
        const { bytes } = buildLogHeader(fields);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        assert.equal(parseLogHeader(bytes), undefined);
      }),
    );
  });

  it("is refused when it is cut off", () => {
    const { bytes } = buildLogHeader({
      bigEndian: false,
      pageSize: 4096,
      sequence: 1,
      salt: { first: 1, second: 2 },
    });
    assert.equal(parseLogHeader(bytes.subarray(0, 31)), undefined);
    assert.equal(parseLogHeader(new Uint8Array(0)), undefined);
  });
});

describe("frames", () => {
  it("read back what was built, in both byte orders", () => {
    fc.assert(
      fc.property(frames, fc.boolean(), (list, bigEndian) => {
        const from = start({ bigEndian });
        const built = buildFrames(list, from);
        const parsed = parseFrames(built.bytes, from);
        assert.deepEqual(parsed.chain, built.chain);
        assert.deepEqual(
          parsed.frames.map(({ data, ...rest }) => ({ ...rest, data: Uint8Array.from(data) })),
          list,
        );
      }),
    );
  });

  it("built in two calls are the bytes of one", () => {
    fc.assert(
      fc.property(frames, frames, (first, second) => {
        const one = buildFrames(first, start());
        const two = buildFrames(second, start({ chain: one.chain }));
        const whole = buildFrames([...first, ...second], start());
        assert.deepEqual(Buffer.concat([one.bytes, two.bytes]), Buffer.from(whole.bytes));
        assert.deepEqual(two.chain, whole.chain);
      }),
    );
  });

  it("end at the first that was changed, whatever bit it was", () => {
    const bit = fc.integer({ min: 0, max: frameBytes(PAGE_SIZE) * 8 - 1 });
    fc.assert(
      fc.property(frames, fc.nat(), bit, (list, pick, changedBit) => {
        const changed = pick % list.length;
        const { bytes } = buildFrames(list, start());
        bytes[changed * frameBytes(PAGE_SIZE) + (changedBit >> 3)]! ^= 1 << (changedBit & 7);
        assert.equal(parseFrames(bytes, start()).frames.length, changed);
      }),
    );
  });

  it("of another generation or another chain do not count", () => {
    const { bytes } = buildFrames([{ page: 1, commitPages: 1, data: new Uint8Array(PAGE_SIZE) }], start());
    assert.equal(parseFrames(bytes, start()).frames.length, 1);
    assert.equal(parseFrames(bytes, start({ salt: { first: 8, second: 0xdeadbeef } })).frames.length, 0);
    assert.equal(parseFrames(bytes, start({ chain: { first: 1, second: 3 } })).frames.length, 0);
  });

  it("that are cut off do not count", () => {
    const { bytes } = buildFrames([{ page: 1, commitPages: 1, data: new Uint8Array(PAGE_SIZE) }], start());
    assert.equal(parseFrames(bytes.subarray(0, -1), start()).frames.length, 0);
  });

  it("stand one after the other behind the header", () => {
    assert.equal(frameOffset(1, 4096), 32);
    assert.equal(frameOffset(3, 4096), 32 + 2 * (4096 + FRAME_HEADER_BYTES));
  });
});

describe("foldFrames", () => {
  const data = (value: number) => new Uint8Array(PAGE_SIZE).fill(value);

  it("keeps the last image of each page and counts the commits", () => {
    const folded = foldFrames(
      [
        { page: 1, commitPages: 0, data: data(1) },
        { page: 2, commitPages: 2, data: data(2) },
        { page: 1, commitPages: 2, data: data(3) },
      ],
      11,
      PAGE_SIZE,
    );
    assert.deepEqual(folded, {
      pageCount: 2,
      commits: 2,
      pages: new Map([
        [1, { frame: 13, data: data(3) }],
        [2, { frame: 12, data: data(2) }],
      ]),
    });
  });

  it("drops pages that a later transaction has cut off, and the page of SQLite's locks", () => {
    const lock = lockPage(PAGE_SIZE);
    const folded = foldFrames(
      [
        { page: lock + 2, commitPages: lock + 2, data: data(1) },
        { page: lock, commitPages: 0, data: data(2) },
        { page: 1, commitPages: lock + 1, data: data(3) },
      ],
      1,
      PAGE_SIZE,
    );
    assert.deepEqual([...folded!.pages.keys()], [1]);
  });

  it("is nothing when the last frame ends no transaction", () => {
    assert.equal(foldFrames([], 1, PAGE_SIZE), undefined);
    assert.equal(foldFrames([{ page: 1, commitPages: 0, data: data(1) }], 1, PAGE_SIZE), undefined);
  });

  it("knows where the page of SQLite's locks is", () => {
    assert.equal(lockPage(4096), 262_145);
    assert.equal(lockPage(65_536), 16_385);
  });
});
