import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { commitsAddUp, compareHeaders, endedAt } from "./continuity.ts";
import { buildFrames, type ChainStart, frameBytes } from "./wal.ts";
import type { IndexHeader } from "./walindex.ts";

const SIZE = 512;
const position: IndexHeader = {
  change: 40,
  bigEndian: false,
  pageSize: SIZE,
  lastFrame: 100,
  pageCount: 9,
  chain: { first: 1, second: 2 },
  salt: { first: 0xffffffff, second: 5 },
};
const next = { first: 0, second: 77 };

describe("compareHeaders", () => {
  it("reads on when the same generation has grown", () => {
    assert.equal(compareHeaders(position, { ...position, lastFrame: 101, change: 41 }), "grown");
  });

  it("has nothing to do when the last frame is the same one", () => {
    assert.equal(compareHeaders(position, { ...position }), "unchanged");
  });

  it("does not take another last frame of the same number for ours", () => {
    assert.equal(compareHeaders(position, { ...position, chain: { first: 1, second: 3 } }), "unknown");
  });

  it("knows nothing when the log has shrunk, as after a power loss", () => {
    assert.equal(compareHeaders(position, { ...position, lastFrame: 99 }), "unknown");
  });

  it("takes the next salt for the next generation, around the end of 32 bits too", () => {
    assert.equal(compareHeaders(position, { ...position, salt: next, lastFrame: 3 }), "renewed");
    assert.equal(compareHeaders(position, { ...position, salt: next, lastFrame: 0 }), "renewed");
  });

  it("knows nothing after two generations, or when ours is overwritten", () => {
    assert.equal(
      compareHeaders(position, { ...position, salt: { first: 1, second: 7 }, lastFrame: 3 }),
      "unknown",
    );
    assert.equal(compareHeaders(position, { ...position, salt: next, lastFrame: 100 }), "unknown");
  });

  it("begins an empty log at its first frame, when the log has a name", () => {
    const empty = { ...position, lastFrame: 0 };
    assert.equal(compareHeaders(empty, { ...empty, lastFrame: 2 }), "grown");
    const unnamed = { ...empty, salt: { first: 0, second: 0 } };
    assert.equal(compareHeaders(unnamed, { ...unnamed, lastFrame: 2 }), "unknown");
    assert.equal(compareHeaders(unnamed, { ...unnamed, salt: next, lastFrame: 2 }), "unknown");
  });
});

describe("endedAt", () => {
  const start: ChainStart = {
    pageSize: SIZE,
    bigEndian: false,
    salt: position.salt,
    chain: { first: 0, second: 0 },
  };
  const page = (value: number) => ({ page: value, commitPages: 9, data: new Uint8Array(SIZE).fill(value) });
  const last = buildFrames([page(1)], start);
  const ours: ChainStart = { ...start, chain: last.chain };
  const after = (bytes: Uint8Array) => Buffer.concat([last.bytes, bytes]);

  it("holds when the file ends there or older bytes follow", () => {
    assert.equal(endedAt(last.bytes, ours), true);
    const older = buildFrames([page(2)], { ...start, salt: { first: 3, second: 3 } });
    assert.equal(endedAt(after(older.bytes), ours), true);
  });

  it("does not hold when a frame follows that continues the chain: it may have been committed", () => {
    assert.equal(endedAt(after(buildFrames([page(2)], ours).bytes), ours), false);
  });

  it("does not hold when our frame is gone or cut off", () => {
    assert.equal(endedAt(new Uint8Array(0), ours), false);
    assert.equal(endedAt(last.bytes.subarray(0, -1), ours), false);
    assert.equal(endedAt(last.bytes, { ...ours, chain: { first: 9, second: 9 } }), false);
    assert.equal(endedAt(last.bytes, { ...ours, salt: next }), false);
  });

  it("does not hold when half a frame follows: nobody can say whose it was", () => {
    assert.equal(endedAt(after(new Uint8Array(frameBytes(SIZE) - 1)), ours), false);
  });
});

describe("commitsAddUp", () => {
  it("compares the counter with what was read, around the end of 32 bits too", () => {
    assert.equal(commitsAddUp(position, { ...position, change: 43 }, 3), true);
    assert.equal(commitsAddUp(position, { ...position, change: 44 }, 3), false);
    assert.equal(commitsAddUp({ ...position, change: 0xffffffff }, { ...position, change: 1 }, 2), true);
  });

  it("does not hold when the counter began again with a rebuilt index", () => {
    assert.equal(commitsAddUp(position, { ...position, change: 2 }, 2), false);
  });
});
