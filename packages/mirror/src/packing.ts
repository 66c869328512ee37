/**
 * Frames that compress well travel together as one packed frame (zstd): names and entries of many small files, and
 * contents that are not compressed already. A sample decides for large ones, so that random bytes cost next to nothing.
 * Unpacking never trusts a length: the output is bounded before the first byte of it is made.
 */

import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { garbage } from "./change.ts";
import { encodeFrame, FRAME_BYTES_AIM, FRAME_BYTES_MAX, type Frame, isPacked } from "./frames.ts";
import { frameSplitter } from "./splitter.ts";

/** Less than this is not worth a compressor's set-up, which takes longer than sending it. */
const PACK_BYTES_MIN = 1024;
const SAMPLE_BYTES = 4096;
const SAMPLES = 4;
/** A tenth saved pays for compressing and unpacking. */
const PAYS_SHARE = 0.9;
const PARAMS = { params: { [constants.ZSTD_c_compressionLevel]: 1 } };

/** The same frames in fewer bytes, or as they are. */
export function packFrames(frames: readonly Uint8Array[]): Uint8Array[] {
  return [...groups(frames)].flatMap((group) => packed(group) ?? group);
}

function* groups(frames: readonly Uint8Array[]): Generator<Uint8Array[]> {
  let group: Uint8Array[] = [];
  let bytes = 0;
  for (const frame of frames) {
    if (bytes + frame.length > FRAME_BYTES_AIM && group.length > 0) {
      yield group;
      [group, bytes] = [[], 0];
    }
    group.push(frame);
    bytes += frame.length;
  }
  if (group.length > 0) yield group;
}

/** One frame of contents, packed, or as it is and in pieces that are sent one after the other. */
export function packContents(parts: readonly Uint8Array[]): readonly Uint8Array[] {
  const pays = parts.every((part) => part.length < PACK_BYTES_MIN || samplePays(part));
  return (pays && packed(parts)) || parts;
}

function packed(group: readonly Uint8Array[]): Uint8Array[] | undefined {
  const length = group.reduce((sum, frame) => sum + frame.length, 0);
  if (length < PACK_BYTES_MIN || length > FRAME_BYTES_MAX) return undefined;
  const plain = Buffer.concat(group, length);
  if (!samplePays(plain)) return undefined;
  const frame = encodeFrame({ type: "packed", length, data: zstdCompressSync(plain, PARAMS) });
  return frame.length < length * PAYS_SHARE ? [frame] : undefined;
}

function samplePays(plain: Uint8Array): boolean {
  if (plain.length <= 2 * SAMPLES * SAMPLE_BYTES) return true;
  const step = Math.floor(plain.length / SAMPLES);
  const parts = Array.from({ length: SAMPLES }, (_, at) =>
    plain.subarray(at * step + SAMPLE_BYTES, at * step + 2 * SAMPLE_BYTES),
  );
  const sample = Buffer.concat(parts);
  return zstdCompressSync(sample, PARAMS).length < sample.length * PAYS_SHARE;
}

/** The frames within, without their prefixes. Throws MirrorError "garbage". */
export function unpackFrame({ length, data }: Extract<Frame, { type: "packed" }>): Uint8Array[] {
  if (length > FRAME_BYTES_MAX) throw garbage(`${length} bytes packed into one frame`);
  const plain = inflate(data, length);
  if (plain.length !== length) throw garbage(`${plain.length} bytes unpacked of ${length}`);
  const splitter = frameSplitter();
  const frames = splitter.push(plain);
  if (splitter.partial) throw garbage("a packed frame ends within a frame");
  if (frames.some(isPacked)) throw garbage("a packed frame within a packed frame");
  return frames;
}

function inflate(data: Uint8Array, length: number): Uint8Array {
  try {
    return zstdDecompressSync(data, { maxOutputLength: Math.max(1, length) });
  } catch (cause) {
    throw Object.assign(garbage("a packed frame does not unpack"), { cause });
  }
}
