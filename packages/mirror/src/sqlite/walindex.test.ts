import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  BLOCK_BYTES,
  buildIndexHeaders,
  entriesOf,
  entryOffset,
  FIRST_ENTRIES_OFFSET,
  fillBlock,
  INDEX_HEADERS_BYTES,
  type IndexHeader,
  parseIndexHeaders,
  placeOf,
  SLOT_GROUP_BYTES,
} from "./walindex.ts";

const PLAIN = { noNullPrototype: true };
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const pair = fc.record({ first: u32, second: u32 }, PLAIN);
const header: fc.Arbitrary<IndexHeader> = fc.record(
  {
    change: u32,
    bigEndian: fc.boolean(),
    pageSize: fc.constantFrom(0, 512, 4096, 32768, 65536),
    lastFrame: u32,
    pageCount: u32,
    chain: pair,
    salt: pair,
  },
  PLAIN,
);

describe("index header", () => {
  it("reads back what it builds", () => {
    fc.assert(
      fc.property(header, (fields) => assert.deepEqual(parseIndexHeaders(buildIndexHeaders(fields)), fields)),
    );
  });

  it("does not count while any bit of either copy differs", () => {
    fc.assert(
      fc.property(header, fc.integer({ min: 0, max: INDEX_HEADERS_BYTES * 8 - 1 }), (fields, bit) => {
        const bytes = buildIndexHeaders(fields);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        assert.equal(parseIndexHeaders(bytes), undefined);
      }),
    );
  });

  it("does not count when both copies are wrong in the same way", () => {
    fc.assert(
      fc.property(header, fc.integer({ min: 0, max: 48 * 8 - 1 }), (fields, bit) => {
        const bytes = buildIndexHeaders(fields);
        bytes[bit >> 3]! ^= 1 << (bit & 7);
        bytes[48 + (bit >> 3)]! ^= 1 << (bit & 7);
        assert.equal(parseIndexHeaders(bytes), undefined);
      }),
    );
  });

  it("is none in an empty, short or zeroed file", () => {
    for (const length of [0, 3, 95, 96]) assert.equal(parseIndexHeaders(new Uint8Array(length)), undefined);
  });
});

describe("blocks", () => {
  it("hold 4062 frames, then 4096 each", () => {
    assert.deepEqual(placeOf(1), { block: 0, entry: 1 });
    assert.deepEqual(placeOf(4062), { block: 0, entry: 4062 });
    assert.deepEqual(placeOf(4063), { block: 1, entry: 1 });
    assert.deepEqual(placeOf(4062 + 4096), { block: 1, entry: 4096 });
    assert.deepEqual(placeOf(4062 + 4097), { block: 2, entry: 1 });
  });

  it("keep the page numbers between header and hash slots", () => {
    assert.equal(entryOffset(0, 1), FIRST_ENTRIES_OFFSET);
    assert.equal(entryOffset(0, entriesOf(0)) + 4, 16384);
    assert.equal(entryOffset(1, 1), 0);
    assert.equal(entryOffset(1, entriesOf(1)) + 4, 16384);
  });
});

/** As SQLite searches: the last entry of `page` that is not above `limit`; 0 when there is none. */
function lookUp(
  image: Uint8Array,
  { block, page, limit }: { block: number; page: number; limit: number },
): number {
  const view = new DataView(image.buffer, image.byteOffset, BLOCK_BYTES);
  let found = 0;
  for (let key = (page * 383) & 8191; ; key = (key + 1) & 8191) {
    const entry = view.getUint16(16384 + key * 2, true);
    if (entry === 0) return found;
    if (entry <= limit && view.getUint32(entryOffset(block, entry), true) === page) found = entry;
  }
}

const pageNumbers = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 2 ** 30 })),
  {
    minLength: 1,
    maxLength: 300,
  },
);

describe("fillBlock", () => {
  it("lets SQLite's search find the last frame of each page, at each commit", () => {
    fc.assert(
      fc.property(pageNumbers, fc.nat(), fc.constantFrom(0, 1), (pages, cut, block) => {
        const image = new Uint8Array(BLOCK_BYTES);
        const half = cut % pages.length;
        if (half > 0) fillBlock(image, { block, from: 1, pages: pages.slice(0, half) });
        fillBlock(image, { block, from: half + 1, pages: pages.slice(half) });
        for (const limit of [half, pages.length]) {
          for (const page of new Set(pages)) {
            const last = pages.slice(0, limit).lastIndexOf(page) + 1;
            assert.equal(lookUp(image, { block, page, limit }), last);
          }
        }
      }),
    );
  });

  it("clears what a writer left behind that died before its commit", () => {
    fc.assert(
      fc.property(pageNumbers, pageNumbers, pageNumbers, (kept, dead, pages) => {
        const clean = new Uint8Array(BLOCK_BYTES);
        fillBlock(clean, { block: 0, from: 1, pages: kept });
        const image = Uint8Array.from(clean);
        fillBlock(image, { block: 0, from: kept.length + 1, pages: dead });
        fillBlock(image, { block: 0, from: kept.length + 1, pages });
        fillBlock(clean, { block: 0, from: kept.length + 1, pages });
        assert.deepEqual(image, clean);
      }),
    );
  });

  it("fills a block to its last entry", () => {
    const image = new Uint8Array(BLOCK_BYTES);
    const pages = Array.from({ length: entriesOf(1) }, (_, index) => index + 1);
    fillBlock(image, { block: 1, from: 1, pages });
    assert.equal(lookUp(image, { block: 1, page: 4096, limit: 4096 }), 4096);
  });

  it("names every group of slots that it changed, and touches nothing but entries and slots", () => {
    fc.assert(
      fc.property(pageNumbers, pageNumbers, pageNumbers, (kept, dead, pages) => {
        const before = new Uint8Array(BLOCK_BYTES);
        fillBlock(before, { block: 0, from: 1, pages: kept });
        fillBlock(before, { block: 0, from: kept.length + 1, pages: dead });
        const after = Uint8Array.from(before);
        const groups = new Set(fillBlock(after, { block: 0, from: kept.length + 1, pages }));
        for (let at = 0; at < BLOCK_BYTES; at += 1) {
          if (before[at] === after[at]) continue;
          const isSlot = at >= 16384;
          assert.ok(
            isSlot ? groups.has(at - (at % SLOT_GROUP_BYTES)) : at >= entryOffset(0, kept.length + 1),
          );
        }
      }),
    );
  });
});
