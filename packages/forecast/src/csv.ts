/**
 * Series out of CSV text: the first column is a time, each further one a series. Rows are put on a regular grid of time,
 * as monitoring systems sample; what is missing there is NaN.
 */

export type Series = {
  /** Heading of the column; "value 2" for the second one of a file without headings. */
  readonly name: string;
  readonly stepMs: number;
  /** Of the first value, since 1970. */
  readonly startMs: number;
  /** One per step; NaN where there was no sample. */
  readonly values: Float64Array;
};

/** Nobody forecasts across a night without measurements: a longer hole is shortened to this. */
const HOLE_STEPS_MAX = 600;
/** A number beyond this is a time in milliseconds: as seconds it would be the year 5138. */
const SECONDS_MAX = 1e11;

export type Row = { readonly atMs: number; readonly values: readonly number[] };

/**
 * Every column after the first, as parseRows reads them. Rows may come in any order, and of two rows with one time the
 * later line counts. Throws a RangeError that names the first line which cannot be read, or says that there are fewer than
 * two rows.
 */
export function parseSeries(csv: string): Series[] {
  const { names, rows } = parseRows(csv);
  return seriesOf(rows, names);
}

/**
 * The rows as they stand in the file, and the headings of their values. A time is seconds or milliseconds since 1970 or a
 * date; an empty cell is NaN. A first line without a time is the heading. Throws a RangeError that names the first line
 * which cannot be read.
 */
export function parseRows(csv: string): {
  names: readonly string[];
  rows: (Row & { readonly line: number })[];
} {
  const lines = csv.split(/\r?\n/).map((text, index) => ({ text, line: index + 1 }));
  const filled = lines.filter(({ text }) => text.trim() !== "");
  const head = filled[0] && isHeading(filled[0].text) ? cellsOf(filled.shift()!.text) : undefined;
  const width = head?.length ?? (filled[0] ? cellsOf(filled[0].text).length : 0);
  const rows = filled.map(({ text, line }) => ({ ...rowOf(text, { line, width }), line }));
  const names = Array.from(
    { length: Math.max(0, width - 1) },
    (_, index) => head?.[index + 1] || `value ${index + 1}`,
  );
  return { names, rows };
}

/** One series for each column of the rows. Throws a RangeError when they are fewer than two or all at one time. */
export function seriesOf(unsorted: readonly Row[], names: readonly string[]): Series[] {
  const rows = unsorted.toSorted((a, b) => a.atMs - b.atMs);
  if (rows.length < 2) throw new RangeError("fewer than two rows");
  const stepMs = medianStepMs(rows);
  const places = placesOf(rows, stepMs);
  return names.map((name, column) => {
    const values = new Float64Array(places.at(-1)! + 1).fill(Number.NaN);
    for (const [index, place] of places.entries()) {
      const value = rows[index]!.values[column]!;
      if (!Number.isNaN(value)) values[place] = value;
    }
    return { name, stepMs, startMs: rows[0]!.atMs, values };
  });
}

function cellsOf(line: string): string[] {
  return line.split(",").map((cell) => cell.trim().replace(/^"(.*)"$/, "$1"));
}

function isHeading(line: string): boolean {
  return Number.isNaN(timeMsOf(cellsOf(line)[0]!));
}

function rowOf(text: string, { line, width }: { line: number; width: number }): Row {
  const [time = "", ...cells] = cellsOf(text);
  const atMs = timeMsOf(time);
  if (!Number.isFinite(atMs)) throw new RangeError(`line ${line}: "${time}" is no time`);
  if (width < 2 || cells.length !== width - 1)
    throw new RangeError(
      `line ${line}: ${cells.length + 1} columns, wanted ${Math.max(2, width)}, with a comma between them`,
    );
  return { atMs, values: cells.map((cell) => numberOf(cell, line)) };
}

function numberOf(cell: string, line: number): number {
  if (cell === "" || /^nan$/i.test(cell)) return Number.NaN;
  const value = Number(cell);
  if (!Number.isFinite(value)) throw new RangeError(`line ${line}: "${cell}" is no number`);
  return value;
}

/** NaN when it is none. */
export function timeMsOf(cell: string): number {
  if (cell.trim() === "") return Number.NaN;
  const count = Number(cell);
  if (Number.isNaN(count)) return Date.parse(cell);
  return Math.abs(count) < SECONDS_MAX ? count * 1000 : count;
}

function medianStepMs(rows: readonly Row[]): number {
  const steps = rows.slice(1).map(({ atMs }, index) => atMs - rows[index]!.atMs);
  const rising = steps.filter((step) => step > 0).toSorted((a, b) => a - b);
  const median = rising[Math.floor(rising.length / 2)];
  if (median === undefined) throw new RangeError("all rows have the same time");
  return Math.max(1, Math.round(median));
}

function placesOf(rows: readonly Row[], stepMs: number): number[] {
  let place = 0;
  return rows.map(({ atMs }, index) => {
    if (index > 0) place += Math.min(HOLE_STEPS_MAX, Math.round((atMs - rows[index - 1]!.atMs) / stepMs));
    return place;
  });
}
