/**
 * The sender's blocks between being written and being taken at the other end: sealed when their first fragment leaves,
 * laid out with room for a header before each fragment, so that a packet is sent from where it lies.
 */

import { type DatagramKeys, headerTags, sealBlock } from "./keys.ts";
import {
  FRAGMENTS_MAX,
  fragmentsOf,
  GCM_TAG_BYTES,
  HEADER_BYTES,
  NUMBER_MAX,
  writeHeader,
} from "./packets.ts";

export interface Outbox {
  /** Of one block's plain bytes, at most. */
  readonly blockBytes: number;
  push(plain: Uint8Array): void;
  /** The next fragment never sent; undefined when there is none or the receiver has no room for it. */
  fresh(): number | undefined;
  /** Whether there is one. */
  readonly hasFresh: boolean;
  /** The packet that carries this piece, header and all; valid until the piece is asked for again. */
  packet(piece: number, packet: number): Buffer;
  /** The receiver takes blocks below `limit`, and has those below `taken`. */
  acknowledge(room: { taken: number; limit: number }): void;
  /** False for a piece the receiver has taken meanwhile. */
  has(piece: number): boolean;
  /** All pieces of a block that has to be sent again, once for each time it is asked for. */
  redo(block: number, times: number): Iterable<number>;
  readonly taken: number;
  readonly count: number;
}

type Block = { readonly plain: Uint8Array; laid?: Buffer; fragments: number; redone: number };

export function outbox(keys: DatagramKeys, { fragmentBytes }: { fragmentBytes: number }): Outbox {
  const blockBytes = fragmentsOf(fragmentBytes) * fragmentBytes - GCM_TAG_BYTES;
  const stride = HEADER_BYTES + fragmentBytes;
  const tags = headerTags(keys);
  const blocks = new Map<number, Block>();
  let [count, taken, limit, nextBlock, nextFragment] = [0, 0, 0, 0, 0];

  function laidOut(number: number): Block & { laid: Buffer } {
    const block = blocks.get(number)!;
    if (!block.laid) {
      const sealed = sealBlock(keys, number, block.plain);
      block.laid = Buffer.alloc(sealed.length + block.fragments * HEADER_BYTES);
      for (let index = 0; index < block.fragments; index += 1) {
        sealed.copy(
          block.laid,
          index * stride + HEADER_BYTES,
          index * fragmentBytes,
          (index + 1) * fragmentBytes,
        );
      }
    }
    return block as Block & { laid: Buffer };
  }

  return {
    blockBytes,
    get taken() {
      return taken;
    },
    get count() {
      return count;
    },
    push(plain) {
      if (plain.length === 0 || plain.length > blockBytes)
        throw new RangeError(`block of ${plain.length} bytes`);
      if (count >= NUMBER_MAX) throw new RangeError("no block numbers left");
      const fragments = Math.ceil((plain.length + GCM_TAG_BYTES) / fragmentBytes);
      blocks.set(count, { plain, fragments, redone: 0 });
      count += 1;
    },
    get hasFresh() {
      return nextBlock < Math.min(count, limit);
    },
    fresh() {
      if (nextBlock >= Math.min(count, limit)) return undefined;
      const piece = nextBlock * FRAGMENTS_MAX + nextFragment;
      nextFragment += 1;
      if (nextFragment === blocks.get(nextBlock)!.fragments) [nextBlock, nextFragment] = [nextBlock + 1, 0];
      return piece;
    },
    packet(piece, packet) {
      const [number, fragment] = [Math.floor(piece / FRAGMENTS_MAX), piece % FRAGMENTS_MAX];
      const { laid, fragments } = laidOut(number);
      const header = { packet, block: number, fragment, isLast: fragment === fragments - 1 };
      const bytes = laid.subarray(fragment * stride, Math.min(laid.length, (fragment + 1) * stride));
      writeHeader(bytes, 0, { ...header, tag: tags.tag(header, bytes.length - HEADER_BYTES) });
      return bytes;
    },
    acknowledge(room) {
      for (; taken < Math.min(room.taken, nextBlock); taken += 1) blocks.delete(taken);
      limit = Math.max(limit, room.limit);
    },
    *redo(number, times) {
      const block = blocks.get(number);
      if (!block || times <= block.redone) return;
      block.redone = times;
      for (let index = 0; index < block.fragments; index += 1) yield number * FRAGMENTS_MAX + index;
    },
    has: (piece) => blocks.has(Math.floor(piece / FRAGMENTS_MAX)),
  };
}
