/**
 * Series for the forecast bench: columns of CSV files on a regular grid of time. A missing sample is NaN; a hole longer
 * than GAP_STEPS_MAX is shortened to that, since nobody forecasts across a night without measurements.
 */

import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";

export const POINTS_MIN = 400;
const DISTINCT_MIN = 5;
const GAP_STEPS_MAX = 600;
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
  const [header = "", ...lines] = readFileSync(path, "utf8").trim().split("\n");
  const names = header.split(",").map((name) => name.trim());
  const rows = lines.map((line) =>
    line.split(",").map((cell) => (cell.trim() === "" ? Number.NaN : Number(cell))),
  );
  rows.sort((a, b) => a[0]! - b[0]!);
  const times = rows.map((row) => row[0]!);
  const stepS = medianStep(times);
  const places = placesOnGrid(times, stepS);
  const kept: number[][] = [];
  return names.slice(1).flatMap((name, index) => {
    const column = rows.map((row) => row[index + 1]!);
    if (!isUsable(column) || kept.some((other) => isProportional(column, other))) return [];
    kept.push(column);
    const values = new Float64Array(places.at(-1)! + 1).fill(Number.NaN);
    for (const [row, place] of places.entries()) values[place] = column[row]!;
    const file = basename(path, ".csv");
    return [
      { folder, name: names.length > 2 ? `${file}/${name}` : file, stepMs: Math.round(stepS * 1000), values },
    ];
  });
}

function medianStep(times: readonly number[]): number {
  const steps = times.slice(1).map((time, index) => time - times[index]!);
  return steps.filter((step) => step > 0).toSorted((a, b) => a - b)[Math.floor(steps.length / 2)] ?? 1;
}

function placesOnGrid(times: readonly number[], stepS: number): number[] {
  let place = 0;
  return times.map((time, index) => {
    if (index > 0) {
      const steps = Math.round((time - times[index - 1]!) / stepS);
      place += Math.min(GAP_STEPS_MAX, Math.max(0, steps));
    }
    return place;
  });
}

function isUsable(column: readonly number[]): boolean {
  const finite = column.filter(Number.isFinite);
  return finite.length >= POINTS_MIN && new Set(finite).size >= DISTINCT_MIN;
}

function isProportional(a: readonly number[], b: readonly number[]): boolean {
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
