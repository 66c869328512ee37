/** What file-writer.ts writes, and how a reader tells whether what it sees is one moment of it. */

import { readFileSync } from "node:fs";
import { join } from "node:path";

/** The program, for whoever starts it. */
export const FILE_WRITER = join(import.meta.dirname, "file-writer.ts");

export const FILES = ["f0", "f1", "f2", "f3"];

/** A round fills its file with its own number, so that a file of two rounds shows. */
export function roundText(round: number, bytes: number): Buffer {
  return Buffer.alloc(bytes, `${String(round).padStart(9, "0")}\n`);
}

/** The round of each file; throws when one of them is a mix. */
export function roundsOf(folder: string): number[] {
  return FILES.map((name) => {
    const text = readFileSync(join(folder, name));
    const round = Number(text.subarray(0, 9).toString());
    if (!text.equals(roundText(round, text.length))) throw new Error(`${name} is a mix of rounds`);
    return round;
  });
}

/** Undefined when these can be one moment of the writer. */
export function tornness(rounds: readonly number[], quiet: boolean): string | undefined {
  const falls = rounds.every((round, at) => at === 0 || round <= rounds[at - 1]!);
  const within = rounds[0]! - rounds.at(-1)! <= (quiet ? 0 : 1);
  return falls && within ? undefined : `rounds ${rounds.join(" ")}`;
}
