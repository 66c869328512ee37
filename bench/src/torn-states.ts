/** The two kinds of state of the torn bench: how each is written, and how a reader on the shadow tells a torn version. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { MirroredState } from "@understudy/mirror/engine";
import { pinVersion } from "@understudy/mirror/version-pin";
import { FILE_WRITER, FILES, roundsOf, tornness } from "@understudy/testkit/file-rounds";

export type StateKind = {
  readonly consistency: "sqlite" | "freeze";
  readonly paths: readonly string[];
  /** Script and arguments of its writer. */
  writer(dir: string): readonly string[];
  /** The newest round that is visible as a whole; throws TornState when what is visible is no moment of the writer. */
  look(dir: string): Promise<number>;
  /** Equal for equal contents. */
  contents(dir: string): string;
};

export class TornState extends Error {}

const DATABASE = "state.db";

export const SQLITE: StateKind = {
  consistency: "sqlite",
  paths: [DATABASE],
  writer: (dir) => [join(import.meta.dirname, "torn-writer.ts"), join(dir, DATABASE), "5"],
  async look(dir) {
    return withDatabase(dir, (database) => {
      const seen = database
        .prepare(
          "SELECT (SELECT min(n) FROM cells) AS low, (SELECT max(n) FROM cells) AS high, (SELECT max(n) FROM rounds) AS last, (SELECT count(*) FROM rounds) AS count",
        )
        .get()!;
      const values = [seen.low, seen.high, seen.last, seen.count].map(Number);
      if (new Set(values).size !== 1) throw new TornState(`database shows ${values.join(" ")}`);
      return values[0]!;
    });
  },
  contents: (dir) =>
    withDatabase(dir, (database) => {
      const check = database.prepare("PRAGMA integrity_check").get()!;
      if (check.integrity_check !== "ok") throw new TornState(`integrity: ${check.integrity_check}`);
      const rows = ["cells", "rounds"].map((table) =>
        database.prepare(`SELECT * FROM ${table} ORDER BY 1`).all(),
      );
      return JSON.stringify(rows);
    }),
};

export const PLAIN_FILES: StateKind = {
  consistency: "freeze",
  paths: ["."],
  writer: (dir) => [FILE_WRITER, dir, "8192", "5"],
  async look(dir) {
    const pin = await pinVersion(dir);
    try {
      const rounds = roundsOf(pin.path);
      const torn = tornness(rounds, false);
      if (torn) throw new TornState(torn);
      return rounds.at(-1)!;
    } catch (error) {
      throw /is a mix/.test((error as Error).message) ? new TornState((error as Error).message) : error;
    } finally {
      await pin.release();
    }
  },
  contents: (dir) => FILES.map((name) => readFileSync(join(dir, name), "latin1")).join("\0"),
};

export function stateAt(kind: StateKind, dir: string): MirroredState {
  const { consistency, paths } = kind;
  const state = { resource: "bench", dir, paths, consistency };
  if (consistency === "sqlite") return state;
  // The budget is another bench's; here the writer is to be caught as often as can be.
  return { ...state, hold: { kind: "freeze", budget: 0.3, timeoutMs: 800 } };
}

function withDatabase<T>(dir: string, use: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(join(dir, DATABASE), { readOnly: true, timeout: 5_000 });
  try {
    return use(database);
  } finally {
    database.close();
  }
}
