/**
 * What the driver remembers on disk about each instance, so that a restarted replicator finds what it had started. The
 * record is written before the process exists (pid 0) and again after: a replicator that dies in between leaves an
 * incarnation to look for, not an orphan that nobody knows.
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { RoleOrder, RunningInstance } from "./driver.ts";

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
const INCARNATION = /^[A-Za-z0-9_-]{1,64}$/;

export class InstanceFiles {
  readonly #runDir: string;

  constructor(runDir: string) {
    this.#runDir = resolve(runDir);
    for (const folder of ["records", "roles", "logs"]) {
      mkdirSync(join(runDir, folder), { recursive: true, mode: PRIVATE_FOLDER });
    }
  }

  /** All records that can be read; `onBad` hears of the others, which stay on disk to be looked at. */
  readAll(onBad: (file: string, why: string) => void): RunningInstance[] {
    const folder = join(this.#runDir, "records");
    const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
    return files.flatMap((file) => {
      try {
        return [parseRecord(readFileSync(join(folder, file), "utf8"))];
      } catch (error) {
        onBad(join(folder, file), (error as Error).message);
        return [];
      }
    });
  }

  save(running: RunningInstance): void {
    replaceFile(join(this.#runDir, "records", `${nameOf(running)}.json`), JSON.stringify(running));
  }

  /** Synchronous, so that two orders never overtake each other on their way to the disk. */
  saveRole(about: InstanceId, order: RoleOrder): void {
    replaceFile(this.rolePath(about), JSON.stringify(order));
  }

  forget(running: RunningInstance): void {
    rmSync(join(this.#runDir, "records", `${nameOf(running)}.json`), { force: true });
    rmSync(this.rolePath(running), { force: true });
  }

  /** One file per incarnation: an order for an earlier one cannot reach a later one. */
  rolePath(about: InstanceId): string {
    if (!INCARNATION.test(about.incarnation)) throw new RangeError(`bad incarnation "${about.incarnation}"`);
    return join(this.#runDir, "roles", `${nameOf(about)}.${about.incarnation}.json`);
  }

  logPath(about: InstanceId): string {
    return join(this.#runDir, "logs", `${nameOf(about)}.log`);
  }
}

export type InstanceId = {
  readonly resource: string;
  readonly instance: string;
  readonly incarnation: string;
};

/** Resources and instances are DNS labels, so the dot keeps the two apart. */
export function nameOf(about: { readonly resource: string; readonly instance: string }): string {
  return `${about.resource}.${about.instance}`;
}

/** Throws a RangeError that says what is missing. */
export function parseRecord(text: string): RunningInstance {
  const record = JSON.parse(text) as Partial<Record<keyof RunningInstance, unknown>> | null;
  const word = (key: keyof RunningInstance): string => {
    const value = record?.[key];
    if (typeof value !== "string" || value === "") throw new RangeError(`record without ${key}`);
    return value;
  };
  const count = (key: keyof RunningInstance): number => {
    const value = record?.[key];
    if (!Number.isInteger(value) || (value as number) < 0) throw new RangeError(`record without ${key}`);
    return value as number;
  };
  return {
    resource: word("resource"),
    instance: word("instance"),
    incarnation: word("incarnation"),
    address: word("address"),
    pid: count("pid"),
    pidStartTicks: count("pidStartTicks"),
  };
}

/** A reader sees the old text or the new one, never a part. */
function replaceFile(path: string, text: string): void {
  writeFileSync(`${path}.new`, text, { mode: PRIVATE_FILE });
  renameSync(`${path}.new`, path);
}
