import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkChanges } from "./changes.ts";
import type { PageChanges } from "./pages.ts";
import { lockPage } from "./wal.ts";

const page = (number: number, length = 512) => ({ number, data: new Uint8Array(length) });
const changes = (pageCount: number, ...numbers: number[]): PageChanges => ({
  pageSize: 512,
  pageCount,
  pages: numbers.map((number) => page(number)),
});
const incomplete = { name: "DatabaseError", code: "incomplete" };

describe("checkChanges", () => {
  it("lets pass what leaves no hole", () => {
    checkChanges(changes(3, 1, 3), 3);
    checkChanges(changes(5, 1, 4, 5), 3);
    checkChanges(changes(2, 1), 3);
    checkChanges(changes(3), 3);
    checkChanges(changes(2, 1, 2), 0);
  });

  it("refuses a hole among new pages", () => {
    assert.throws(() => checkChanges(changes(5, 1, 5), 3), incomplete);
    assert.throws(() => checkChanges(changes(2, 2), 0), incomplete);
  });

  it("expects no page where SQLite keeps its locks, and refuses one", () => {
    const lock = lockPage(512);
    checkChanges(changes(lock + 1, 1, lock + 1), lock - 1);
    assert.throws(() => checkChanges(changes(lock + 1, 1, lock, lock + 1), lock - 1), incomplete);
  });

  it("refuses another page count without the page that names it", () => {
    assert.throws(() => checkChanges(changes(2), 3), incomplete);
    assert.throws(() => checkChanges(changes(4, 4), 3), incomplete);
  });

  it("refuses pages out of order, twice, above the count or of another size", () => {
    assert.throws(() => checkChanges(changes(3, 2, 1), 3), incomplete);
    assert.throws(() => checkChanges(changes(3, 2, 2), 3), incomplete);
    assert.throws(() => checkChanges(changes(3, 4), 3), incomplete);
    assert.throws(() => checkChanges(changes(3, 0), 3), incomplete);
    assert.throws(() => checkChanges({ pageSize: 512, pageCount: 1, pages: [page(1, 511)] }, 1), incomplete);
  });

  it("refuses a page size that SQLite does not have, and an empty database", () => {
    assert.throws(
      () => checkChanges({ pageSize: 1000, pageCount: 1, pages: [page(1, 1000)] }, 1),
      incomplete,
    );
    assert.throws(() => checkChanges(changes(0), 3), incomplete);
  });
});
