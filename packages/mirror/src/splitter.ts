/** Finds the frames in a byte stream: the pure half of every transport. */

import { MirrorError } from "./error.ts";
import { FRAME_BYTES_MAX, LENGTH_BYTES } from "./frames.ts";

/** Cuts a byte stream into frames without their prefix. Throws on a length that no frame has. */
export function frameSplitter(): { push(chunk: Uint8Array): Uint8Array[]; readonly partial: boolean } {
  let parts: Uint8Array[] = [];
  let held = 0;
  let wanted = 0;
  const whole = (): Uint8Array => (parts.length === 1 ? parts[0]! : Buffer.concat(parts, held));
  return {
    push(chunk) {
      parts.push(chunk);
      held += chunk.length;
      const frames: Uint8Array[] = [];
      while (held >= Math.max(LENGTH_BYTES, wanted)) {
        const bytes = whole();
        wanted = LENGTH_BYTES + frameLength(bytes);
        if (held >= wanted) frames.push(bytes.subarray(LENGTH_BYTES, wanted));
        const left = held >= wanted ? bytes.subarray(wanted) : bytes;
        if (held >= wanted) wanted = 0;
        parts = left.length > 0 ? [left] : [];
        held = left.length;
      }
      return frames;
    },
    get partial() {
      return held > 0;
    },
  };
}

/**
 * The same for a stream whose chunks are only lent: a frame is put together in memory of its own, once. Nothing of a chunk is
 * kept after `push`.
 */
export function frameAssembler(): { push(chunk: Uint8Array): Uint8Array[] } {
  const prefix = Buffer.alloc(LENGTH_BYTES);
  let frame: Buffer | undefined;
  let filled = 0;
  return {
    push(chunk) {
      const frames: Uint8Array[] = [];
      for (let at = 0; at < chunk.length; ) {
        const into: Buffer = frame ?? prefix;
        const some = chunk.subarray(at, at + into.length - filled);
        into.set(some, filled);
        at += some.length;
        filled += some.length;
        if (filled < into.length) continue;
        if (frame) frames.push(frame);
        frame = frame ? undefined : Buffer.allocUnsafe(frameLength(prefix));
        filled = 0;
      }
      return frames;
    },
  };
}

function frameLength(bytes: Uint8Array): number {
  const length = Buffer.from(bytes.buffer, bytes.byteOffset, LENGTH_BYTES).readUInt32LE();
  if (length < 2 || length > FRAME_BYTES_MAX)
    throw new MirrorError("garbage", `frame of ${length} bytes, at most ${FRAME_BYTES_MAX}`);
  return length;
}
