/** Series for the forecast bench: the columns of CSV files, without those that are too short or say what another says. */

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseSeries } from "@understudy/forecast/csv";

export const POINTS_MIN = 400;
const DISTINCT_MIN = 5;
/** Relative deviation up to which one column is a multiple of another. */
const PROPORTIONAL_WITHIN = 1e-3;

export type Series = {
  readonly folder: string;
  readonly name: string;
  readonly stepMs: number;
  /** One per step; NaN where there was no sample. */
  readonly values: Float64Array;
};

/** Every usable column of every CSV file in the folders of `dir`, in order of name. */
export function readSeries(dir: string): Series[] {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .flatMap(({ name }) => readFolder(dir, name));
}

function readFolder(dir: string, folder: string): Series[] {
  return readdirSync(join(dir, folder))
    .filter((file) => file.endsWith(".csv"))
    .toSorted()
    .flatMap((file) => readFile(join(dir, folder, file), folder));
}

function readFile(path: string, folder: string): Series[] {
  const file = basename(path, ".csv");
  const columns = parseSeries(readFileSync(path, "utf8"));
  const kept: Float64Array[] = [];
  return columns.flatMap(({ name, stepMs, values }) => {
    if (!isUsable(values) || kept.some((other) => isProportional(values, other))) return [];
    kept.push(values);
    return [{ folder, name: columns.length > 1 ? `${file}/${name}` : file, stepMs, values }];
  });
}

function isUsable(column: Float64Array): boolean {
  const finite = column.filter(Number.isFinite);
  return finite.length >= POINTS_MIN && new Set(finite).size >= DISTINCT_MIN;
}

function isProportional(a: Float64Array, b: Float64Array): boolean {
  let [ab, bb, aa] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    if (!Number.isFinite(a[i]!) || !Number.isFinite(b[i]!)) continue;
    ab += a[i]! * b[i]!;
    bb += b[i]! * b[i]!;
    aa += a[i]! * a[i]!;
  }
  if (aa === 0 || bb === 0) return aa === bb;
  const residual = Math.max(0, aa - (ab * ab) / bb);
  return Math.sqrt(residual / aa) < PROPORTIONAL_WITHIN;
}
