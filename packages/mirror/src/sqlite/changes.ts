/** Checks changes before they touch a replica: a page that is missing or out of place would corrupt it in silence. */

import { DatabaseError } from "./errors.ts";
import type { PageChanges } from "./pages.ts";
import { isPageSize, lockPage } from "./wal.ts";

/** Throws "incomplete" unless pages are whole, ascending, within the page count, and leave no hole above `have`. */
export function checkChanges({ pageSize, pageCount, pages }: PageChanges, have: number): void {
  if (!isPageSize(pageSize) || pageCount < 1) refuse(`${pageCount} pages of ${pageSize} bytes`);
  const locked = lockPage(pageSize);
  let last = 0;
  let added = 0;
  for (const { number, data } of pages) {
    if (number <= last || number > pageCount || number === locked)
      refuse(`page ${number} of ${pageCount} after ${last}`);
    if (data.length !== pageSize) refuse(`page ${number} has ${data.length} bytes instead of ${pageSize}`);
    if (number > have) added += 1;
    last = number;
  }
  const wanted = Math.max(0, pageCount - have) - (have < locked && locked <= pageCount ? 1 : 0);
  // The first page names the page count: without it the two would contradict each other.
  if (pageCount !== have && pages[0]?.number !== 1)
    refuse(`${pageCount} pages instead of ${have} without page 1`);
  if (added !== wanted) refuse(`${added} pages beyond ${have} instead of ${wanted}`);
}

function refuse(what: string): never {
  throw new DatabaseError("incomplete", `sqlite mirror: changes refused: ${what}`);
}
