import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { Change } from "./change.ts";
import { MirrorError } from "./error.ts";
import { decodeFrame, encodeFrame, FRAME_BYTES_MAX, type Frame, PROTOCOL_VERSION } from "./frames.ts";
import type { Entry } from "./manifest.ts";
import { unpackFrame } from "./packing.ts";
import { frameSplitter } from "./splitter.ts";

/** A million once by hand; a few thousand of the same seeds in every run of the tests. */
const FUZZ_CASES = Number(process.env.UNDERSTUDY_FUZZ_CASES ?? 4_000);

const hex = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString("hex"));
const count = fc.maxSafeNat();
const position = fc.record({
  epoch: count,
  version: count,
  hlc: fc.record({ wallMs: fc.nat(), counter: fc.nat(0xffff_ffff) }),
  root: hex,
});
const name = fc.string({ maxLength: 16, unit: "grapheme-ascii" });
const path = fc.string({ minLength: 1, maxLength: 40 });
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({
    kind: fc.constantFrom("file" as const, "database" as const),
    mode: fc.nat(0o7777),
    mtimeMs: fc.double({ noNaN: true, noDefaultInfinity: true }),
    size: fc.nat(),
    blockSize: fc.constantFrom(512, 4096, 65_536),
    target: fc.constant(""),
    uid: fc.nat(),
    gid: fc.nat(),
  }),
  fc.record({
    kind: fc.constantFrom("folder" as const, "link" as const),
    mode: fc.nat(0o7777),
    mtimeMs: fc.constant(0),
    size: fc.constant(0),
    blockSize: fc.constant(0),
    target: fc.string({ maxLength: 40 }),
    uid: fc.nat(),
    gid: fc.nat(),
  }),
);
const blocks: fc.Arbitrary<Change> = fc
  .tuple(
    path,
    fc.uniqueArray(fc.nat(100_000), { minLength: 1, maxLength: 8 }),
    fc.integer({ min: 1, max: 512 }),
  )
  .map(([where, indexes, last]) => ({
    op: "blocks",
    path: where,
    blockSize: 512,
    indexes: indexes.sort((a, b) => a - b),
    data: Buffer.alloc((indexes.length - 1) * 512 + last, 7),
  }));
const copy: fc.Arbitrary<Change> = fc
  .record({
    path,
    from: fc.oneof(fc.constant(""), path),
    lengths: fc.array(fc.tuple(fc.nat(100), fc.integer({ min: 1, max: 9 }), count), {
      minLength: 1,
      maxLength: 6,
    }),
  })
  .map(({ path: where, from, lengths }) => {
    let next = 0;
    const runs = lengths.map(([gap, length, offset]) => {
      const run = { first: next + gap, count: length, offset };
      next += gap + length;
      return run;
    });
    return { op: "copy", path: where, from, runs };
  });
const change = fc.oneof(
  copy,
  fc.record({ op: fc.constant("entry" as const), path, entry }),
  fc.record({ op: fc.constant("remove" as const), path }),
  blocks,
);
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    type: fc.constant("hello" as const),
    resource: name,
    instance: name,
    incarnation: name,
    position,
  }),
  fc.record({
    type: fc.constantFrom("welcome" as const, "progress" as const),
    durable: position,
    visible: position,
  }),
  fc.record({
    type: fc.constant("refuse" as const),
    why: fc.constant("clock" as const),
    reason: name,
    epoch: count,
  }),
  fc.record({ type: fc.constant("ask" as const) }),
  fc.record({ type: fc.constant("manifestEnd" as const), root: hex }),
  fc.record({
    type: fc.constant("begin" as const),
    epoch: count,
    base: fc.record({ version: count, root: hex }),
  }),
  fc.record({ type: fc.constant("change" as const), change }),
  fc.record({ type: fc.constant("end" as const), position, changes: fc.nat() }),
  fc.record({ type: fc.constant("heartbeat" as const), position }),
  fc.record({
    type: fc.constant("packed" as const),
    length: fc.nat(),
    data: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  }),
  position.map((at) => ({ type: "progress" as const, durable: at, visible: at })),
);

const plain = (value: unknown) =>
  JSON.parse(
    JSON.stringify(value, (_, each) =>
      each instanceof Uint8Array ? Buffer.from(each).toString("hex") : each,
    ),
  );

test("every frame reads back as it was written", () => {
  fc.assert(
    fc.property(frame, (original) => {
      const decoded = decodeFrame(encodeFrame(original).subarray(4));
      assert.deepEqual(plain(decoded), plain(original));
    }),
  );
});

test("frames survive being cut anywhere on the way", () => {
  fc.assert(
    fc.property(
      fc.array(frame, { maxLength: 5 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 200 })),
      (frames, cuts) => {
        const bytes = Buffer.concat(frames.map(encodeFrame));
        const splitter = frameSplitter();
        const received: Frame[] = [];
        let at = 0;
        while (at < bytes.length) {
          const next = at + cuts.next().value!;
          received.push(...splitter.push(bytes.subarray(at, next)).map(decodeFrame));
          at = next;
        }
        assert.deepEqual(plain(received), plain(frames));
        assert.equal(splitter.partial, false);
      },
    ),
  );
});

/** Random bytes, most of which get past the version and the type, into the decoder of some frame. */
const garbage = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc
    .tuple(fc.nat(12), fc.uint8Array({ maxLength: 300 }))
    .map(([type, rest]) => Uint8Array.from([PROTOCOL_VERSION, type, ...rest])),
  fc.tuple(fc.nat(4), fc.uint8Array({ maxLength: 60 })).map(([op, rest]) => {
    // A change of the path "p", then anything.
    return Uint8Array.from([PROTOCOL_VERSION, 7, op, 1, 0, 112, ...rest]);
  }),
);

test("garbage is refused with a reason, never accepted by accident of its length", () => {
  fc.assert(
    fc.property(garbage, (bytes) => {
      try {
        const decoded = decodeFrame(bytes);
        if (decoded.type === "packed") unpackFrame(decoded);
      } catch (error) {
        assert.ok(error instanceof MirrorError, String(error));
        assert.ok(error.code === "garbage" || error.code === "version", error.code);
        assert.notEqual(error.message, "");
      }
    }),
    { numRuns: FUZZ_CASES },
  );
});

test("a frame with any byte changed is refused or reads as another frame, and nothing else happens", () => {
  fc.assert(
    fc.property(frame, fc.nat(), fc.integer({ min: 1, max: 255 }), (original, where, flip) => {
      const bytes = encodeFrame(original).subarray(4);
      const at = where % bytes.length;
      bytes[at] = bytes[at]! ^ flip;
      try {
        assert.notDeepEqual(plain(decodeFrame(bytes)), plain(original));
      } catch (error) {
        if (!(error instanceof MirrorError)) throw error;
      }
    }),
  );
});

test("a length that no frame has is refused before anything is held for it", () => {
  for (const length of [0, 1, FRAME_BYTES_MAX + 1, 0xffff_ffff]) {
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32LE(length);
    assert.throws(() => frameSplitter().push(prefix), MirrorError);
  }
});
