/**
 * Products, orders and the answers already given, in one SQLite database. Reads go through a connection that cannot
 * write, so a shadow stays what the mirror made it; the writing connection exists only while this instance is primary.
 */

import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { seededRandom } from "./service-time.ts";

export const DATABASE_FILE = "catalog.db";
const BUSY_TIMEOUT_MS = 2000;
const PAGE_OF_PRODUCTS = 20;
const KEYS_MAX = 10_000;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS products (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, description TEXT NOT NULL, price_cents INTEGER NOT NULL,
    orders INTEGER NOT NULL DEFAULT 0, views INTEGER NOT NULL DEFAULT 0) STRICT;
  CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY, product INTEGER NOT NULL, quantity INTEGER NOT NULL, at_ms INTEGER NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS answers (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, status INTEGER NOT NULL, body TEXT NOT NULL) STRICT;`;

export type Product = {
  readonly id: number;
  readonly name: string;
  readonly description: string;
  readonly priceCents: number;
  /** Only ever rises: a client can tell by it whether it sees an older version than it knows of. */
  readonly orders: number;
  readonly views: number;
};

export type Order = {
  readonly id: number;
  readonly product: number;
  readonly quantity: number;
  readonly atMs: number;
};

export type StoredAnswer = { readonly status: number; readonly body: string; readonly replayed: boolean };

const PRODUCT_COLUMNS = "id, name, description, price_cents AS priceCents, orders, views";

export type CatalogReader = {
  product(id: number): Product | undefined;
  products(afterId: number): Product[];
  order(id: number): Order | undefined;
  /** Idempotency keys of committed writes, in order of commit, at most 10,000. */
  keys(afterId: number): { readonly id: number; readonly key: string }[];
  close(): void;
};

export type CatalogWriter = {
  createOrder(request: { key: string; product: number; quantity: number; atMs: number }): StoredAnswer;
  createView(request: { key: string; product: number }): StoredAnswer;
  close(): void;
};

/** Opens for reading; undefined while the products are not there yet. */
export function openReader(stateDir: string): CatalogReader | undefined {
  const db = openReadOnly(join(stateDir, DATABASE_FILE));
  if (!db) return undefined;
  const product = db.prepare(`SELECT ${PRODUCT_COLUMNS} FROM products WHERE id = ?`);
  const products = db.prepare(
    `SELECT ${PRODUCT_COLUMNS} FROM products WHERE id > ? ORDER BY id LIMIT ${PAGE_OF_PRODUCTS}`,
  );
  const order = db.prepare("SELECT id, product, quantity, at_ms AS atMs FROM orders WHERE id = ?");
  const keys = db.prepare(`SELECT id, key FROM answers WHERE id > ? ORDER BY id LIMIT ${KEYS_MAX}`);
  return {
    product: (id) => product.get(id) as Product | undefined,
    products: (afterId) => products.all(afterId) as Product[],
    order: (id) => order.get(id) as Order | undefined,
    keys: (afterId) => keys.all(afterId) as { id: number; key: string }[],
    close: () => db.close(),
  };
}

function openReadOnly(file: string): DatabaseSync | undefined {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(file, { readOnly: true, timeout: BUSY_TIMEOUT_MS });
    const tables = db.prepare(
      "SELECT count(*) AS n FROM sqlite_schema WHERE name IN ('products', 'orders', 'answers')",
    );
    if ((tables.get() as { n: number }).n === 3) return db;
  } catch (error) {
    // The file is not there yet, or its first version is just being put in place.
    if ((error as { code?: string }).code !== "ERR_SQLITE_ERROR") throw error;
  }
  db?.close();
  return undefined;
}

/** Opens for writing. Only the primary may: makes the tables, and fills an empty catalogue from the seed. */
export function openWriter(
  stateDir: string,
  { products, seed }: { products: number; seed: number },
): CatalogWriter {
  const db = new DatabaseSync(join(stateDir, DATABASE_FILE), { timeout: BUSY_TIMEOUT_MS });
  db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
  db.exec(SCHEMA);
  const inTransaction = transactionsOf(db);
  inTransaction(() => fillWhenEmpty(db, { products, seed }));
  const find = db.prepare("SELECT status, body FROM answers WHERE key = ?");
  const keep = db.prepare("INSERT INTO answers (key, status, body) VALUES (?, ?, ?)");
  const order = db.prepare("INSERT INTO orders (product, quantity, at_ms) VALUES (?, ?, ?) RETURNING id");
  const countOrder = db.prepare("UPDATE products SET orders = orders + 1 WHERE id = ? RETURNING orders");
  const countView = db.prepare("UPDATE products SET views = views + 1 WHERE id = ? RETURNING views");

  /** The key is committed with the write itself: whoever sends it again gets the first answer and no second order. */
  function once(key: string, write: () => { status: number; body: unknown }): StoredAnswer {
    return inTransaction(() => {
      const stored = find.get(key) as { status: number; body: string } | undefined;
      if (stored) return { ...stored, replayed: true };
      const { status, body } = write();
      const text = JSON.stringify(body);
      keep.run(key, status, text);
      return { status, body: text, replayed: false };
    });
  }

  return {
    createOrder: ({ key, product, quantity, atMs }) =>
      once(key, () => {
        const counted = countOrder.get(product) as { orders: number } | undefined;
        if (!counted) return { status: 404, body: { error: `no product ${product}` } };
        const { id } = order.get(product, quantity, atMs) as { id: number };
        return { status: 201, body: { order: id, product, orders: counted.orders } };
      }),
    createView: ({ key, product }) =>
      once(key, () => {
        const counted = countView.get(product) as { views: number } | undefined;
        if (!counted) return { status: 404, body: { error: `no product ${product}` } };
        return { status: 201, body: { product, views: counted.views } };
      }),
    close: () => db.close(),
  };
}

function transactionsOf(db: DatabaseSync): <T>(work: () => T) => T {
  const begin = db.prepare("BEGIN IMMEDIATE");
  const commit = db.prepare("COMMIT");
  const rollback = db.prepare("ROLLBACK");
  return (work) => {
    begin.run();
    try {
      const result = work();
      commit.run();
      return result;
    } catch (error) {
      if (db.isTransaction) rollback.run();
      throw error;
    }
  };
}

function fillWhenEmpty(db: DatabaseSync, { products, seed }: { products: number; seed: number }): void {
  if ((db.prepare("SELECT count(*) AS n FROM products").get() as { n: number }).n > 0) return;
  const random = seededRandom(seed);
  const insert: StatementSync = db.prepare(
    "INSERT INTO products (name, description, price_cents) VALUES (?, ?, ?)",
  );
  for (let index = 0; index < products; index += 1) {
    const words = Array.from({ length: 60 }, () => WORDS[Math.floor(random() * WORDS.length)]!);
    insert.run(words.slice(0, 3).join(" "), words.join(" "), 100 + Math.floor(random() * 50_000));
  }
}

const WORDS = (
  "amber anchor apple arrow autumn bamboo barley basin beacon birch blanket bottle brass bridge bronze brush button " +
  "cable candle canvas carbon cedar chair clay clock cloth clover cobalt copper coral cotton cradle crystal desk drum " +
  "ember fabric feather fern flute forest frame garden glass granite hammer harbor hazel honey indigo iron ivory jacket " +
  "jasper kettle ladder lamp lantern leather lemon linen lotus maple marble meadow mirror morning mosaic needle oak ocean " +
  "olive orchid paper pearl pepper pillow pine plaster prism quartz rattan ribbon river saddle sail satin silver slate"
).split(" ");
