/** Hashes of all pages of a database, in one flat buffer: 20 bytes a page instead of an object a page. */

import { blockHash, HASH_BYTES } from "../blocks.ts";

export const PAGE_HASH_BYTES = HASH_BYTES;

export function hashPage(data: Uint8Array): Uint8Array {
  return blockHash(data);
}

export type PageHashes = {
  readonly pageSize: number;
  readonly pageCount: number;
  /** Holds at least pageCount hashes; page 1 first. */
  readonly bytes: Buffer;
};

export const NO_HASHES: PageHashes = { pageSize: 0, pageCount: 0, bytes: Buffer.alloc(0) };

export function packHashes(pageSize: number, hashes: readonly Uint8Array[]): PageHashes {
  return { pageSize, pageCount: hashes.length, bytes: Buffer.concat(hashes) };
}

/** Views into the table, not copies. */
export function unpackHashes({ pageCount, bytes }: PageHashes): Uint8Array[] {
  return Array.from({ length: pageCount }, (_, index) =>
    bytes.subarray(index * PAGE_HASH_BYTES, (index + 1) * PAGE_HASH_BYTES),
  );
}

/** The same table with room for `pageCount` pages and that many in use. The buffer may be shared with the old one. */
export function resizeHashes(table: PageHashes, pageSize: number, pageCount: number): PageHashes {
  const wanted = pageCount * PAGE_HASH_BYTES;
  if (wanted <= table.bytes.length) return { pageSize, pageCount, bytes: table.bytes };
  const bytes = Buffer.alloc(Math.max(wanted, 2 * table.bytes.length));
  table.bytes.copy(bytes);
  return { pageSize, pageCount, bytes };
}

export function hashIs(table: PageHashes, page: number, value: Uint8Array): boolean {
  if (page > table.pageCount) return false;
  const from = (page - 1) * PAGE_HASH_BYTES;
  return table.bytes.compare(value, 0, PAGE_HASH_BYTES, from, from + PAGE_HASH_BYTES) === 0;
}

export function setHash(table: PageHashes, page: number, value: Uint8Array): void {
  table.bytes.set(value, (page - 1) * PAGE_HASH_BYTES);
}

export function copyHashes(table: PageHashes): PageHashes {
  return { ...table, bytes: Buffer.from(table.bytes) };
}
