/** Reads and writes of files that do not stop half-way. */

import type { FileHandle } from "node:fs/promises";

/** As much of a file as reading takes. */
export type ByteSource = {
  read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
};

/** Fills `buffer` from `offset` of the file, or up to the end of the file; resolves with the number of bytes. */
export async function readWhole(file: ByteSource, buffer: Uint8Array, offset: number): Promise<number> {
  let at = 0;
  while (at < buffer.length) {
    const { bytesRead } = await file.read(buffer, at, buffer.length - at, offset + at);
    if (bytesRead === 0) break;
    at += bytesRead;
  }
  return at;
}

export async function writeWhole(file: FileHandle, data: Uint8Array, offset: number): Promise<void> {
  let at = 0;
  while (at < data.length) {
    const { bytesWritten } = await file.write(data, at, data.length - at, offset + at);
    at += bytesWritten;
  }
}
