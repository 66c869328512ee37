/** A file that a command was given, or - for standard input. */

import { readFileSync } from "node:fs";
import { CliError } from "./error.ts";

export type Input = { readonly name: string; readonly text: string };

export function readInput(file: string): Input {
  try {
    const text = readFileSync(file === "-" ? 0 : file, "utf8");
    return { name: file === "-" ? "standard input" : file, text };
  } catch (error) {
    throw new CliError("invalid", `cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}
