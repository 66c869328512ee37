import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { DATABASE_FILE, openReader, openWriter } from "./database.ts";

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "catalog-db-"));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

const FILL = { products: 50, seed: 1 };

test("a reader makes nothing: it finds nothing until the primary has filled the catalogue", (t) => {
  const dir = folder(t);
  assert.equal(openReader(dir), undefined);
  assert.equal(existsSync(join(dir, DATABASE_FILE)), false);
  openWriter(dir, FILL).close();
  const reader = openReader(dir)!;
  assert.equal(reader.products(0).length, 20);
  assert.equal(reader.product(50)?.orders, 0);
  assert.equal(reader.product(51), undefined);
  reader.close();
});

test("an open reader sees each write after its commit", (t) => {
  const dir = folder(t);
  const writer = openWriter(dir, FILL);
  const reader = openReader(dir)!;
  const answer = writer.createOrder({ key: "a", product: 3, quantity: 2, atMs: 77 });
  assert.deepEqual(JSON.parse(answer.body), { order: 1, product: 3, orders: 1 });
  assert.equal(reader.product(3)?.orders, 1);
  assert.deepEqual({ ...reader.order(1) }, { id: 1, product: 3, quantity: 2, atMs: 77 });
  reader.close();
  writer.close();
});

test("a repeated key gets the first answer and changes nothing", (t) => {
  const dir = folder(t);
  const writer = openWriter(dir, FILL);
  const first = writer.createOrder({ key: "same", product: 3, quantity: 1, atMs: 0 });
  const again = writer.createOrder({ key: "same", product: 4, quantity: 9, atMs: 1 });
  assert.equal(first.replayed, false);
  assert.deepEqual(again, { ...first, replayed: true });
  writer.createView({ key: "view", product: 3 });
  writer.createView({ key: "view", product: 3 });
  writer.close();
  const reader = openReader(dir)!;
  assert.equal(reader.product(3)?.orders, 1);
  assert.equal(reader.product(3)?.views, 1);
  assert.deepEqual(
    reader.keys(0).map(({ key }) => key),
    ["same", "view"],
  );
  reader.close();
});

test("a write to an unknown product is answered 404, also when repeated", (t) => {
  const writer = openWriter(folder(t), FILL);
  assert.equal(writer.createOrder({ key: "k", product: 999, quantity: 1, atMs: 0 }).status, 404);
  assert.equal(writer.createOrder({ key: "k", product: 999, quantity: 1, atMs: 0 }).replayed, true);
  writer.close();
});

test("opening a filled catalogue again fills nothing twice", (t) => {
  const dir = folder(t);
  openWriter(dir, FILL).close();
  openWriter(dir, FILL).close();
  const reader = openReader(dir)!;
  assert.equal(reader.product(51), undefined);
  reader.close();
});
