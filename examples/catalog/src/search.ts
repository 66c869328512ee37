/** The index that this service builds at start: words of a product's name to the products that have them. */

import type { CatalogReader, Product } from "./database.ts";

const FOUND_MAX = 20;

export type SearchIndex = { find(word: string): readonly number[] };

export function buildIndex(reader: CatalogReader): SearchIndex {
  const byWord = new Map<string, number[]>();
  for (const product of allProducts(reader)) {
    for (const word of new Set(product.name.split(" "))) {
      const found = byWord.get(word);
      if (found) found.push(product.id);
      else byWord.set(word, [product.id]);
    }
  }
  return { find: (word) => byWord.get(word)?.slice(0, FOUND_MAX) ?? [] };
}

function* allProducts(reader: CatalogReader): Generator<Product> {
  let page = reader.products(0);
  while (page.length > 0) {
    yield* page;
    page = reader.products(page.at(-1)!.id);
  }
}
