/** A database held in memory as its pages, built from changes alone: what a shadow must look like after each batch. */

import { hashPage } from "../page-hashes.ts";
import type { PageChanges } from "../pages.ts";

export class Image {
  pages: Uint8Array[] = [];

  apply(changes: PageChanges): void {
    if (this.pages[0]?.length !== changes.pageSize) this.pages = [];
    for (const { number, data } of changes.pages) this.pages[number - 1] = data;
    this.pages.length = changes.pageCount;
  }

  hashes(): string[] {
    return Array.from(this.pages, (page) => Buffer.from(hashPage(page)).toString("hex"));
  }
}

export function toHex(hashes: readonly Uint8Array[]): string[] {
  return hashes.map((hash) => Buffer.from(hash).toString("hex"));
}
