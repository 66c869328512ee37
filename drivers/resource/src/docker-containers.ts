/**
 * What one Docker driver works with: the engine, its own files, and which container is which instance now. The parts of
 * the driver (docker-adoption.ts, docker-shadows.ts, docker-roles.ts, docker-fences.ts) are functions over this; whatever
 * is remembered here is on disk as well, so that a restarted replicator finds it again.
 */

import { readFileSync } from "node:fs";
import type { ContainerSpec, ResourceSpec } from "@understudy/model/policy";
import { type Engine, openEngine } from "./docker-engine.ts";
import { ContainerExits } from "./docker-exits.ts";
import { OwnPaths } from "./docker-paths.ts";
import type { ContainerFiles, ContainerRecord } from "./docker-records.ts";
import { addressOf } from "./docker-spec.ts";
import type { ContainerInspect } from "./docker-types.ts";
import { ResourceError, type RunningInstance, type StartRequest } from "./driver.ts";
import { readLiving, readProcStat } from "./proc-stat.ts";
import { nameOf } from "./records.ts";

/** In place of an address, until the container runs. */
export const NOT_KNOWN = "unknown:0";

/** Containers of which a late listener can still hear how they ended. */
const LAST_KEPT_MAX = 256;

export type RunSpec = Pick<ResourceSpec, "container"> & {
  readonly state: Pick<ResourceSpec["state"], "consistency">;
};

export type DockerDriverOptions = {
  /** Of Docker or Podman. */
  readonly socket: string;
  /** The driver's own files. The same folder again finds the same containers again. */
  readonly runDir: string;
  /** The one network of the containers made here, where this host's is another than the primary's; empty: the primary's. */
  readonly network?: string;
  /** How a resource is run; undefined when it is not known. */
  readonly specOf: (resource: string) => RunSpec | undefined;
  /** What went wrong beside a call. */
  readonly onError: (error: Error) => void;
};

export type Asked = Pick<StartRequest, "resource" | "instance">;
export type AskedRole = Pick<StartRequest, "resource" | "instance" | "incarnation" | "role">;

export class Containers {
  readonly engine: Engine;
  readonly files: ContainerFiles;
  readonly exits: ContainerExits;
  readonly paths: OwnPaths;
  /** Of what is made here; empty: those of the primary. */
  readonly network: string;
  readonly #options: DockerDriverOptions;
  readonly #known = new Map<string, ContainerRecord>();
  readonly #lastOf = new Map<string, string>();
  readonly #removals = new Set<Promise<void>>();

  constructor(options: DockerDriverOptions, files: ContainerFiles) {
    this.#options = options;
    this.files = files;
    this.network = options.network ?? "";
    this.engine = openEngine(options.socket);
    this.exits = new ContainerExits(this.engine);
    this.paths = new OwnPaths(this.engine);
    const onBad = (file: string, why: string) => options.onError(new Error(`${file} ignored: ${why}`));
    for (const record of files.readAll(onBad)) this.remember(record);
  }

  specOf({ resource, instance }: Asked): RunSpec & { container: ContainerSpec } {
    const spec = this.#options.specOf(resource);
    if (spec?.container) return { ...spec, container: spec.container };
    const why = `${resource}.${instance}: its resource names no container in the configuration`;
    throw new ResourceError("not-found", why);
  }

  /** The same with the network on which an instance of ours is reached. */
  reachedBy(spec: ContainerSpec, adopted: boolean): ContainerSpec {
    return adopted || this.network === "" ? spec : { ...spec, network: this.network };
  }

  all(): readonly ContainerRecord[] {
    return [...this.#known.values()];
  }

  /** Of whichever incarnation. */
  get(about: Asked): ContainerRecord | undefined {
    return this.#known.get(nameOf(about));
  }

  /** Only of this incarnation: what is meant for an earlier one must not reach a later one. */
  recordOf(running: RunningInstance): ContainerRecord | undefined {
    const record = this.get(running);
    return record?.running.incarnation === running.incarnation ? record : undefined;
  }

  /** The container in which it runs, or ran last; "" when that is forgotten. */
  lastContainerOf(running: RunningInstance): string {
    return this.recordOf(running)?.container ?? this.#lastOf.get(keyOf(running)) ?? "";
  }

  /** From now on it is known, on disk too, and its end is noticed. */
  remember(record: ContainerRecord): void {
    this.#known.set(nameOf(record.running), record);
    this.exits.watch(record.container, record.running);
    this.#lastOf.set(keyOf(record.running), record.container);
    if (this.#lastOf.size > LAST_KEPT_MAX) this.#lastOf.delete(this.#lastOf.keys().next().value!);
  }

  save(record: ContainerRecord): void {
    this.remember(record);
    this.files.save(record);
  }

  /** Of a container that is known and watched already. */
  update(record: ContainerRecord): void {
    this.#known.set(nameOf(record.running), record);
    this.files.save(record);
  }

  /** Only what is remembered of this very container: an old caller must not erase a newer start. */
  forget(record: ContainerRecord): void {
    if (this.get(record.running)?.container !== record.container) return;
    this.#known.delete(nameOf(record.running));
    this.files.forget(record);
  }

  /** By /proc where it can be seen, also while the engine is away; otherwise the engine says it. */
  async runs({ running, container }: ContainerRecord): Promise<boolean> {
    if (running.pid > 0) return readLiving(running) !== undefined;
    return (await this.engine.inspect(container))?.State.Running ?? false;
  }

  removeLater(container: string): void {
    const removal = this.engine.remove(container).catch(this.#options.onError);
    this.#removals.add(removal);
    void removal.then(() => this.#removals.delete(removal));
  }

  report(error: Error): void {
    this.#options.onError(error);
  }

  async close(work: readonly Promise<unknown>[]): Promise<void> {
    await this.exits.close();
    await Promise.allSettled([...work, ...this.#removals]);
  }
}

/** What is to be remembered of a container that runs. */
export function recordOfRunning(
  { resource, instance, incarnation, role }: AskedRole,
  inspect: ContainerInspect,
  { spec, adopted }: { spec: ContainerSpec; adopted: boolean },
): ContainerRecord {
  const running = {
    resource,
    instance,
    incarnation,
    address: addressOf(inspect, spec),
    ...processOf(inspect),
  };
  return { running, container: inspect.Id, adopted, role: role.role };
}

/** Its first process as this host knows it; pid 0 when it cannot be seen from here. */
export function processOf({ Id, State }: ContainerInspect): { pid: number; pidStartTicks: number } {
  const stat = readProcStat(State.Pid);
  return stat && isOf(State.Pid, Id)
    ? { pid: State.Pid, pidStartTicks: stat.startTicks }
    : { pid: 0, pidStartTicks: 0 };
}

/** Whether the process of this number is one of the container's: the engine may count processes apart from us. */
function isOf(pid: number, container: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, "utf8").includes(container);
  } catch {
    return false;
  }
}

export function notThere(name: string): ResourceError {
  return new ResourceError(
    "not-found",
    `there is no container ${name}: start it (docker run --name ${name} ...)`,
  );
}

export function wasRemoved({ instance }: Pick<RunningInstance, "instance">): never {
  throw new ResourceError("not-found", `the container of ${instance} was removed: it is made again`);
}

function keyOf({ resource, instance, incarnation }: RunningInstance): string {
  return `${resource}.${instance}/${incarnation}`;
}
