/**
 * What the Docker driver remembers on disk: which container is which instance, what each resource's primary looked like, and
 * the role orders, each in a folder of its own that is mounted into exactly one container.
 */

import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { ROLE_FILE } from "./docker-spec.ts";
import type { ContainerInspect } from "./docker-types.ts";
import type { RoleOrder, RunningInstance } from "./driver.ts";
import { nameOf, parseRecord } from "./records.ts";

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;
/** A container's own user reads the order, whoever that is. */
const SHARED_FOLDER = 0o755;
const SHARED_FILE = 0o644;
const INCARNATION = /^[A-Za-z0-9_-]{1,64}$/;

export type ContainerRecord = {
  readonly running: RunningInstance;
  readonly container: string;
  /** Not made by us: never removed, and ended only to fence it. */
  readonly adopted: boolean;
  readonly role: RoleOrder["role"];
  /** Of a shadow: the container that waits to take its place. */
  readonly waiting?: string;
};

/** How the adopted container of a resource was found. */
export type Adoption = {
  readonly instance: string;
  /** What shadows are made from, also when the container is removed by hand. */
  readonly template: ContainerInspect;
  /** Given back when the container is let go. */
  readonly restartPolicy: unknown;
};

export class ContainerFiles {
  readonly #dir: string;

  constructor(runDir: string) {
    this.#dir = resolve(runDir);
    mkdirSync(this.#dir, { recursive: true, mode: PRIVATE_FOLDER });
    for (const folder of ["containers", "adoptions"])
      mkdirSync(join(this.#dir, folder), { recursive: true, mode: PRIVATE_FOLDER });
    mkdirSync(join(this.#dir, "container-roles"), { recursive: true, mode: SHARED_FOLDER });
  }

  /** Who we are among several managers of one engine: made once for this folder. */
  manager(): string {
    const path = join(this.#dir, "manager");
    if (!existsSync(path)) replaceFile(path, randomUUID(), PRIVATE_FILE);
    return readFileSync(path, "utf8");
  }

  /** `onBad` hears of records that cannot be read; they stay on disk to be looked at. */
  readAll(onBad: (file: string, why: string) => void): ContainerRecord[] {
    const folder = join(this.#dir, "containers");
    const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
    return files.flatMap((file) => {
      try {
        return [parse(readFileSync(join(folder, file), "utf8"))];
      } catch (error) {
        onBad(join(folder, file), (error as Error).message);
        return [];
      }
    });
  }

  save(record: ContainerRecord): void {
    replaceFile(this.#recordPath(record.running), JSON.stringify(record), PRIVATE_FILE);
  }

  forget(record: ContainerRecord): void {
    rmSync(this.#recordPath(record.running), { force: true });
    rmSync(this.roleFolder(record.running), { recursive: true, force: true });
  }

  saveRole(about: RunningInstanceId, order: RoleOrder): void {
    const folder = this.roleFolder(about);
    mkdirSync(folder, { recursive: true, mode: SHARED_FOLDER });
    saveRoleIn(join(folder, ROLE_FILE), order);
  }

  /** One folder per incarnation: an order for an earlier one cannot reach a later one. */
  roleFolder(about: RunningInstanceId): string {
    if (!INCARNATION.test(about.incarnation)) throw new RangeError(`bad incarnation "${about.incarnation}"`);
    return join(this.#dir, "container-roles", `${nameOf(about)}.${about.incarnation}`);
  }

  adoption(resource: string): Adoption | undefined {
    const path = this.#adoptionPath(resource);
    return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Adoption) : undefined;
  }

  saveAdoption(resource: string, adoption: Adoption): void {
    replaceFile(this.#adoptionPath(resource), JSON.stringify(adoption), PRIVATE_FILE);
  }

  forgetAdoption(resource: string): void {
    rmSync(this.#adoptionPath(resource), { force: true });
  }

  #recordPath(about: { resource: string; instance: string }): string {
    return join(this.#dir, "containers", `${nameOf(about)}.json`);
  }

  #adoptionPath(resource: string): string {
    return join(this.#dir, "adoptions", `${resource}.json`);
  }
}

type RunningInstanceId = Pick<RunningInstance, "resource" | "instance" | "incarnation">;

export function saveRoleIn(path: string, order: RoleOrder): void {
  replaceFile(path, JSON.stringify(order), SHARED_FILE);
}

function parse(text: string): ContainerRecord {
  const { running, container, adopted, role, waiting } = JSON.parse(text) as Partial<ContainerRecord>;
  if (typeof container !== "string" || container === "") throw new RangeError("record without container");
  const known = role === "primary" ? "primary" : "shadow";
  return {
    running: parseRecord(JSON.stringify(running)),
    container,
    adopted: adopted === true,
    role: known,
    ...(typeof waiting === "string" ? { waiting } : {}),
  };
}

/** A reader sees the old text or the new one, never a part. */
function replaceFile(path: string, text: string, mode: number): void {
  writeFileSync(`${path}.new`, text, { mode });
  renameSync(`${path}.new`, path);
}
