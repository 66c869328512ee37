/**
 * A forecaster as bytes: a magic word, the options as JSON, the arrays of state as they lie in memory, and a checksum
 * over all of it (CRC-32, ISO 3309). Restored, it makes bit for bit the forecasts it would have made. Byte order is that
 * of the machine; all that Node runs on are little-endian, and the magic word tells.
 */

import { ForecastError } from "./error.ts";

import type { State } from "./state.ts";

const MAGIC = 0x55464331;
/** Raised when the layout of the state changes: a snapshot of another one is refused, not guessed at. */
const VERSION = 4;
const HEADER_BYTES = 16;
const CHECKSUM_BYTES = 4;
/** Options are a few hundred bytes; a length beyond this is damage. */
const OPTIONS_BYTES_MAX = 64 * 1024;

export function writeSnapshot(state: State, options: unknown): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(options));
  const parts = partsOf(state);
  const bodyBytes = parts.reduce((sum, part) => sum + part.byteLength, 0);
  const bytes = new Uint8Array(HEADER_BYTES + text.length + bodyBytes + CHECKSUM_BYTES);
  new Uint32Array(bytes.buffer, 0, HEADER_BYTES / 4).set([MAGIC, VERSION, text.length, bodyBytes]);
  bytes.set(text, HEADER_BYTES);
  let at = HEADER_BYTES + text.length;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  new DataView(bytes.buffer).setUint32(at, crc32(bytes.subarray(0, at)), true);
  return bytes;
}

/** The options a snapshot was made with, and a function that fills a state made from them. Throws ForecastError. */
export function readSnapshot(bytes: Uint8Array): { options: unknown; fill: (state: State) => void } {
  const { textBytes, bodyBytes } = readHeader(bytes);
  const body = HEADER_BYTES + textBytes;
  const options = parseOptions(bytes.subarray(HEADER_BYTES, body));
  return {
    options,
    fill(state) {
      const parts = partsOf(state);
      const wanted = parts.reduce((sum, part) => sum + part.byteLength, 0);
      if (wanted !== bodyBytes) {
        throw new ForecastError(
          "snapshot_corrupt",
          `snapshot holds ${bodyBytes} bytes of state, not ${wanted}`,
        );
      }
      let at = body;
      for (const part of parts) {
        part.set(bytes.subarray(at, at + part.length));
        at += part.length;
      }
    },
  };
}

function readHeader(bytes: Uint8Array): { textBytes: number; bodyBytes: number } {
  const length = bytes.length;
  if (length < HEADER_BYTES + CHECKSUM_BYTES) {
    throw new ForecastError("snapshot_corrupt", `snapshot of ${length} bytes is shorter than its header`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, length);
  if (view.getUint32(0, true) !== MAGIC) {
    throw new ForecastError("snapshot_foreign", "not a snapshot of a forecaster: its first word is another");
  }
  const version = view.getUint32(4, true);
  if (version !== VERSION) {
    throw new ForecastError("snapshot_version", `snapshot has layout ${version}, this engine has ${VERSION}`);
  }
  const [textBytes, bodyBytes] = [view.getUint32(8, true), view.getUint32(12, true)];
  if (textBytes > OPTIONS_BYTES_MAX || HEADER_BYTES + textBytes + bodyBytes + CHECKSUM_BYTES !== length) {
    throw new ForecastError("snapshot_corrupt", `snapshot of ${length} bytes is not as long as it says`);
  }
  if (view.getUint32(length - CHECKSUM_BYTES, true) !== crc32(bytes.subarray(0, length - CHECKSUM_BYTES))) {
    throw new ForecastError("snapshot_corrupt", "snapshot's checksum does not match its content");
  }
  return { textBytes, bodyBytes };
}

function parseOptions(text: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(text));
  } catch {
    throw new ForecastError("snapshot_corrupt", "snapshot's options cannot be read");
  }
}

function partsOf({ numbers, singles, history, profiles, markUnits, markScores }: State): Uint8Array[] {
  return [numbers, singles, history, profiles, markUnits, markScores].map(
    ({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength),
  );
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value >>> 0;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i += 1) crc = CRC_TABLE[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
