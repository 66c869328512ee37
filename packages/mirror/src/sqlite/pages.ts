/** Page images of a SQLite database as they travel from its primary to its shadows. */

export type Page = { readonly number: number; readonly data: Uint8Array };

/** One or more whole transactions, folded to the last image of each page. Applied as one transaction. */
export type PageChanges = {
  readonly pageSize: number;
  /** Pages of the database after it; pages above are cut off. */
  readonly pageCount: number;
  /** Ascending by number, none above pageCount. */
  readonly pages: readonly Page[];
};
