/** Options that every command takes, and where a command writes. */

import { type Command, Option } from "commander";

export type Globals = {
  readonly output: "text" | "json";
  /** Empty: UNDERSTUDY_CONTEXT, or the newest cluster that a demo has kept. */
  readonly context: string;
};

export function addGlobals(program: Command): Command {
  return program
    .addOption(new Option("-o, --output <form>", "what to print").choices(["text", "json"]).default("text"))
    .addOption(
      new Option("--context <file>", "how to reach Understudy")
        .env("UNDERSTUDY_CONTEXT")
        .default("", "the newest kept demo"),
    );
}

export function print(globals: Globals, { text, json }: { text: () => string; json: () => unknown }): void {
  process.stdout.write(globals.output === "json" ? `${JSON.stringify(json())}\n` : `${text()}\n`);
}

const PPM_PER_PERCENT = 10_000;

/** A share of the reads. */
export function percentOf(ppm: number): string {
  return `${(ppm / PPM_PER_PERCENT).toFixed(1)} %`;
}

/** Columns of equal width; the last one runs on. */
export function renderTable(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, index) => Math.max(cell.length, widest[index] ?? 0)),
    [],
  );
  const line = (row: readonly string[]) =>
    row
      .map((cell, index) => cell.padEnd(widths[index]!))
      .join("  ")
      .trimEnd();
  return rows.map(line).join("\n");
}
