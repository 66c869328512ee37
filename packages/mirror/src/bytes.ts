/**
 * Fields of our wire and disk formats: little endian, every length bounded. A reader refuses what is too short, too
 * long or out of range, so that no decoder built on it can be led astray by a hostile length.
 */

import { MirrorError } from "./error.ts";

export type ByteWriter = {
  u8(value: number): void;
  u16(value: number): void;
  u32(value: number): void;
  /** An integer up to Number.MAX_SAFE_INTEGER. */
  u53(value: number): void;
  f64(value: number): void;
  /** UTF-8 with a 16-bit length. */
  text(value: string): void;
  /** Bytes whose length the reader knows or finds from the end. */
  raw(value: Uint8Array): void;
  readonly length: number;
  finish(): Uint8Array<ArrayBuffer>;
  /** The same as the pieces they were written as: long contents are not copied. */
  parts(): Uint8Array[];
};

/** Less than this is cheaper to copy than to pass on by itself. */
const PART_BYTES_MIN = 64 * 1024;

const TEXT_BYTES_MAX = 0xffff;

export function byteWriter(): ByteWriter {
  const parts: Uint8Array[] = [];
  const number = (size: number, put: (buffer: Buffer) => void) => {
    const buffer = Buffer.alloc(size);
    put(buffer);
    parts.push(buffer);
  };
  const u16 = (value: number) => number(2, (buffer) => buffer.writeUInt16LE(value));
  return {
    u8: (value) => number(1, (buffer) => buffer.writeUInt8(value)),
    u16,
    u32: (value) => number(4, (buffer) => buffer.writeUInt32LE(value)),
    u53: (value) => number(8, (buffer) => buffer.writeBigUInt64LE(BigInt(value))),
    f64: (value) => number(8, (buffer) => buffer.writeDoubleLE(value)),
    text(value) {
      const bytes = Buffer.from(value, "utf8");
      if (bytes.length > TEXT_BYTES_MAX) throw new RangeError(`text of ${bytes.length} bytes`);
      u16(bytes.length);
      parts.push(bytes);
    },
    raw: (value) => void parts.push(value),
    get length() {
      return parts.reduce((sum, part) => sum + part.length, 0);
    },
    finish: () => Buffer.concat(parts),
    parts: () => [...joinShort(parts)],
  };
}

function* joinShort(parts: readonly Uint8Array[]): Generator<Uint8Array> {
  let short: Uint8Array[] = [];
  for (const part of parts) {
    if (part.length < PART_BYTES_MIN) {
      short.push(part);
      continue;
    }
    if (short.length > 0) yield Buffer.concat(short);
    short = [];
    yield part;
  }
  if (short.length > 0) yield Buffer.concat(short);
}

export type ByteReader = {
  u8(): number;
  u16(): number;
  u32(): number;
  u53(): number;
  f64(): number;
  text(maxBytes: number): string;
  raw(length: number): Uint8Array;
  /** Everything that is left. */
  rest(): Uint8Array;
  /** Throws when something is left. */
  end(): void;
};

const utf8 = new TextDecoder("utf-8", { fatal: true });

export function byteReader(bytes: Uint8Array): ByteReader {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const take = (length: number): Buffer => {
    if (length > buffer.length - at)
      throw new MirrorError("garbage", `${length} bytes wanted at ${at}, ${buffer.length - at} left`);
    at += length;
    return buffer.subarray(at - length, at);
  };
  return {
    u8: () => take(1).readUInt8(),
    u16: () => take(2).readUInt16LE(),
    u32: () => take(4).readUInt32LE(),
    u53() {
      const value = Number(take(8).readBigUInt64LE());
      if (!Number.isSafeInteger(value)) throw new MirrorError("garbage", "integer above 2^53");
      return value;
    },
    f64() {
      const value = take(8).readDoubleLE();
      if (!Number.isFinite(value)) throw new MirrorError("garbage", "not a finite number");
      return value;
    },
    text(maxBytes) {
      const length = take(2).readUInt16LE();
      if (length > maxBytes) throw new MirrorError("garbage", `text of ${length} bytes, at most ${maxBytes}`);
      return decodeText(take(length));
    },
    raw: take,
    rest: () => take(buffer.length - at),
    end() {
      if (at !== buffer.length) throw new MirrorError("garbage", `${buffer.length - at} bytes too many`);
    },
  };
}

function decodeText(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw new MirrorError("garbage", "text is not UTF-8", { cause });
  }
}
