import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  datagramKeys,
  EXPORTED_BYTES,
  headerTags,
  openBlock,
  openSmall,
  sealBlock,
  sealSmall,
} from "./keys.ts";
import {
  decodeReport,
  decodeStatus,
  encodeReport,
  encodeStatus,
  HEADER_BYTES,
  NUMBER_MAX,
  type Report,
  readHeader,
  readSealed,
  SEALED_OVERHEAD,
  writeHeader,
} from "./packets.ts";

/** A million once, by UNDERSTUDY_FUZZ_CASES=1000000; a few always. */
const CASES = Number(process.env.UNDERSTUDY_FUZZ_CASES ?? 3_000);
const SEED = 20_261_124;
const keys = datagramKeys(Uint8Array.from({ length: EXPORTED_BYTES }, (_, index) => index));
const u32 = fc.nat(NUMBER_MAX);

const report: fc.Arbitrary<Report> = fc
  .record({
    floor: fc.nat(1_000_000),
    runs: fc.array(fc.nat(3_000), { maxLength: 320 }),
    received: u32,
    disorder: u32,
    newestAtUs: u32,
    delayUs: u32,
    duplicates: u32,
    taken: u32,
    limit: u32,
    redo: fc.array(fc.record({ block: u32, times: fc.nat(255) }, { noNullPrototype: true }), {
      maxLength: 8,
    }),
  })
  .map((each) => ({ ...each, highest: each.floor + each.runs.reduce((sum, length) => sum + length, 0) }));

test("reports, status and data headers read back as they were written", () => {
  fc.assert(
    fc.property(report, u32, fc.nat(63), fc.boolean(), (original, number, fragment, isLast) => {
      assert.deepEqual(decodeReport(encodeReport(original)), original);
      assert.deepEqual(decodeStatus(encodeStatus({ floor: number, reportMs: 12 })), {
        floor: number,
        reportMs: 12,
      });
      const header = { isLast, fragment, packet: number, block: original.taken, tag: original.limit };
      const datagram = Buffer.alloc(HEADER_BYTES + 1);
      writeHeader(datagram, 0, header);
      assert.deepEqual(readHeader(datagram), header);
    }),
    { seed: SEED },
  );
});

test("whatever arrives is read as ours or not at all, and never ends the decoder", () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 1_500 }),
    // Close to the truth: our first byte, and reports of random bytes.
    fc
      .tuple(fc.integer({ min: 0x10, max: 0x17 }), fc.uint8Array({ maxLength: 200 }))
      .map(([first, rest]) => Uint8Array.of(first, ...rest)),
    fc.tuple(report, fc.nat(2_000), fc.nat(255)).map(([each, at, value]) => {
      const bytes = encodeReport(each);
      bytes[at % bytes.length] = value;
      return bytes;
    }),
  );
  fc.assert(
    fc.property(noise, (bytes) => {
      const datagram = Buffer.from(bytes);
      const header = readHeader(datagram);
      assert.ok(!header || (header.fragment < 64 && datagram.length > HEADER_BYTES));
      const sealed = readSealed(datagram);
      assert.ok(!sealed || datagram.length >= SEALED_OVERHEAD);
      if (sealed) assert.equal(openSmall(keys.fromReceiver, sealed), undefined);
      const read = decodeReport(datagram);
      if (!read) return;
      assert.ok(read.runs.length <= 320 && read.redo.length <= 8);
      const reach = read.runs.reduce((sum, length) => sum + length, 0);
      assert.ok(reach <= Math.max(0, read.highest + 1 - read.floor), "runs beyond the highest packet");
    }),
    { seed: SEED, numRuns: CASES },
  );
});

test("a sealed datagram with any bit changed, or under another number or kind, does not open", () => {
  fc.assert(
    fc.property(
      u32,
      fc.uint8Array({ minLength: 1, maxLength: 60 }),
      fc.nat(),
      fc.nat(7),
      (number, body, where, bit) => {
        const datagram = sealSmall(keys.fromSender, "status", { number, body });
        assert.deepEqual(openSmall(keys.fromSender, readSealed(datagram)!), Buffer.from(body));
        const at = where % datagram.length;
        datagram[at] = datagram[at]! ^ (1 << bit);
        const sealed = readSealed(datagram);
        if (sealed) assert.equal(openSmall(keys.fromSender, sealed), undefined);
      },
    ),
    { seed: SEED },
  );
});

test("the tag of a header holds for that header only", () => {
  const tags = headerTags(keys);
  fc.assert(
    fc.property(u32, u32, fc.nat(63), fc.boolean(), u32, (packet, block, fragment, isLast, other) => {
      const tag = tags.tag({ packet, block, fragment, isLast }, 1_400);
      assert.notEqual(tags.tag({ packet, block, fragment, isLast }, 1_399), tag);
      for (const changed of [
        { packet: other, block, fragment, isLast },
        { packet, block: other, fragment, isLast },
        { packet, block, fragment: (fragment + 1) % 64, isLast },
        { packet, block, fragment, isLast: !isLast },
      ]) {
        const isSame =
          changed.packet === packet &&
          changed.block === block &&
          changed.fragment === fragment &&
          changed.isLast === isLast;
        assert.equal(tags.tag(changed, 1_400) === tag, isSame);
      }
    }),
    { seed: SEED },
  );
});

test("a block opens under its own number and key and nowhere else", () => {
  const plain = Buffer.from("state");
  const sealed = sealBlock(keys, 7, plain);
  assert.deepEqual(openBlock(keys, 7, sealed), plain);
  assert.equal(openBlock(keys, 8, sealed), undefined);
  assert.equal(openBlock(datagramKeys(new Uint8Array(EXPORTED_BYTES)), 7, sealed), undefined);
  assert.equal(openBlock(keys, 7, sealed.subarray(0, 10)), undefined);
});
