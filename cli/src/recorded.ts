/** Recorded series that a command was given as files: CSV, or what Prometheus' range API answered. */

import { CliError } from "./error.ts";
import { readInput } from "./input.ts";

/** What `csv` or `prometheus` makes of a file; what they refuse is one sentence with the file's name. */
export function readRecorded<T>(
  file: string,
  { csv, prometheus }: { csv: (text: string) => T; prometheus: (text: string) => T },
): { source: string; recorded: T } {
  const { name: source, text } = readInput(file);
  const read = text.trimStart().startsWith("{") ? prometheus : csv;
  return { source, recorded: readable(source, () => read(text)) };
}

/** Turns a RangeError about what was recorded into a sentence that names where it comes from. */
export function readable<T>(source: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CliError("invalid", `${source}: ${error.message}`, { cause: error });
  }
}

/** Those with the heading that was asked for, all when none was; at least one. */
export function columnsNamed<T extends { readonly name: string }>(
  columns: readonly T[],
  { source, column }: { source: string; column: string | undefined },
): readonly T[] {
  const wanted = columns.filter(({ name }) => column === undefined || name === column);
  if (wanted.length > 0) return wanted;
  throw new CliError("invalid", `${source}: no column "${column}"; it has ${namesOf(columns)}`);
}

export function namesOf(columns: readonly { readonly name: string }[]): string {
  return columns.map(({ name }) => name).join(", ");
}

export function durationOf(ms: number): string {
  if (ms < 1_000) return `${Number(ms.toFixed(1))} ms`;
  const seconds = ms / 1_000;
  const [value, unit] =
    seconds < 120 ? [seconds, "s"] : seconds < 7_200 ? [seconds / 60, "min"] : [seconds / 3_600, "h"];
  return `${Number(value.toFixed(1))} ${unit}`;
}
