import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { inbox, WINDOW_BLOCKS } from "./inbox.ts";
import { datagramKeys, EXPORTED_BYTES } from "./keys.ts";
import { outbox } from "./outbox.ts";
import { FRAGMENTS_MAX, HEADER_BYTES, readHeader } from "./packets.ts";

const keys = datagramKeys(Uint8Array.from({ length: EXPORTED_BYTES }, (_, index) => index));
const SEED = 20_261_124;

function filled(blocks: readonly Uint8Array[]) {
  const box = outbox(keys, { fragmentBytes: 100 });
  for (const block of blocks) box.push(block);
  box.acknowledge({ taken: 0, limit: WINDOW_BLOCKS });
  const pieces: number[] = [];
  for (let piece = box.fresh(); piece !== undefined; piece = box.fresh()) pieces.push(piece);
  return { box, pieces };
}

test("blocks come out whole and in order, whatever the order, repetition or forgery of their fragments", () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ minLength: 1, maxLength: 900 }), { minLength: 1, maxLength: 6 }),
      fc.infiniteStream(fc.nat()),
      fc.nat(3),
      (blocks, chances, forgeries) => {
        const { box, pieces } = filled(blocks);
        const received = inbox(keys);
        const out: Buffer[] = [];
        let waiting = [...pieces, ...pieces.slice(0, 3)];
        let forged = 0;
        for (let packet = 0; waiting.length > 0; packet += 1) {
          const [piece] = waiting.splice(chances.next().value! % waiting.length, 1);
          const datagram = Buffer.from(box.packet(piece!, packet));
          if (forged < forgeries) {
            forged += 1;
            datagram[datagram.length - 1]! ^= 1;
          }
          received.add(readHeader(datagram)!, datagram.subarray(HEADER_BYTES));
          out.push(...received.ready());
          waiting = [...waiting, ...received.redo.flatMap(({ block, times }) => [...box.redo(block, times)])];
        }
        assert.deepEqual(
          out,
          blocks.map((each) => Buffer.from(each)),
        );
        assert.ok(received.broken <= forgeries);
      },
    ),
    { seed: SEED },
  );
});

test("no more is taken than there is room for, and room comes with the consumer", () => {
  const blocks = Array.from({ length: WINDOW_BLOCKS + 2 }, () => Uint8Array.of(1));
  const { box, pieces } = filled(blocks);
  assert.equal(pieces.length, WINDOW_BLOCKS);
  const received = inbox(keys);
  const header = (block: number) => ({ isLast: true, fragment: 0, packet: 0, block, tag: 0 });
  const payload = (block: number) => Buffer.from(box.packet(block * FRAGMENTS_MAX, 0).subarray(HEADER_BYTES));
  assert.equal(received.add(header(WINDOW_BLOCKS), Buffer.alloc(17)), "outside");
  assert.equal(received.add(header(0), payload(0)), "kept");
  assert.equal(received.ready().length, 1);
  assert.equal(received.limit, WINDOW_BLOCKS);
  received.take(1);
  assert.equal(received.limit, WINDOW_BLOCKS + 1);
  box.acknowledge({ taken: 1, limit: received.limit });
  assert.equal(box.fresh(), WINDOW_BLOCKS * FRAGMENTS_MAX);
  assert.equal(box.has(0), false);
  assert.equal(box.fresh(), undefined);
});
