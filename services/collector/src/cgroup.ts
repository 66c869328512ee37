/**
 * Processor time, memory, input and output, throttling and lack of memory of a control group, versions 1 and 2, pure apart from reading. A machine may run both at once:
 * each controller lives in exactly one of the hierarchies.
 */

import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { basename, join } from "node:path";
import type { GroupCounters } from "./reading.ts";

const ROOT = "/sys/fs/cgroup";
const FILE_BYTES_MAX = 8192;
const NANOSECONDS = 1e9;
const MICROSECONDS = 1e6;
/** Undefined when a file is not of its format. */
type Parsed = number | undefined;

export type CgroupPaths = {
  /** Version 1: controller -> path. */
  readonly v1: ReadonlyMap<string, string>;
  /** Version 2: the one path; undefined when there is no such hierarchy. */
  readonly v2: string | undefined;
};

/** Of /proc/<pid>/cgroup: lines "4:memory:/a/b", "2:cpu,cpuacct:/a", "0::/a". */
export function parseCgroupPaths(text: string): CgroupPaths {
  const v1 = new Map<string, string>();
  let v2: string | undefined;
  for (const line of text.split("\n")) {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    if (controllers === "") v2 = path;
    else for (const controller of controllers.split(",")) v1.set(controller, path);
  }
  return { v1, v2 };
}

/** Version 1, cpuacct.usage: nanoseconds. */
export function parseCpuacctUsage(text: string): Parsed {
  const value = parseCount(text);
  return value === undefined ? undefined : value / NANOSECONDS;
}

/** Version 2, cpu.stat: lines of name and value, usage_usec among them. */
export function parseCpuStat(text: string): Parsed {
  const value = fieldOf(text, "usage_usec");
  return value === undefined ? undefined : value / MICROSECONDS;
}

/** memory.usage_in_bytes or memory.current. */
export function parseCount(text: string): Parsed {
  return /^\d+\s*$/.test(text) ? Number(text) : undefined;
}

/** memory.stat: page cache that the kernel would give back at once (total_inactive_file, or inactive_file in version 2). */
export function parseInactiveFile(text: string): Parsed {
  return fieldOf(text, "total_inactive_file") ?? fieldOf(text, "inactive_file");
}

/** Version 1, blkio.throttle.io_service_bytes: lines "8:0 Read 4096", one per device and kind. */
export function parseServiceBytes(text: string): { read: number; write: number } {
  const sum = (kind: string) =>
    [...text.matchAll(new RegExp(`^\\d+:\\d+ ${kind} (\\d+)$`, "gm"))].reduce(
      (all, [, bytes]) => all + Number(bytes),
      0,
    );
  return { read: sum("Read"), write: sum("Write") };
}

/** Version 2, io.stat: lines "8:0 rbytes=1 wbytes=2 ...", one per device. */
export function parseIoStat(text: string): { read: number; write: number } {
  const sum = (name: string) =>
    [...text.matchAll(new RegExp(`\\b${name}=(\\d+)`, "g"))].reduce(
      (all, [, bytes]) => all + Number(bytes),
      0,
    );
  return { read: sum("rbytes"), write: sum("wbytes") };
}

/** cpu.stat of either version. */
export function parseThrottling(text: string): { periods: Parsed; throttledPeriods: Parsed } {
  return { periods: fieldOf(text, "nr_periods"), throttledPeriods: fieldOf(text, "nr_throttled") };
}

/** memory.oom_control in version 1, memory.events in version 2. */
export function parseOutOfMemoryKills(text: string): Parsed {
  return fieldOf(text, "oom_kill");
}

function fieldOf(text: string, name: string): Parsed {
  const found = new RegExp(`^${name} (\\d+)$`, "m").exec(text);
  return found ? Number(found[1]) : undefined;
}

/** Open files; the optional ones are undefined where the kernel has none. */
type Files = {
  readonly cpu: number;
  readonly memory: number;
  readonly memoryStat: number;
  readonly io: number | undefined;
  readonly throttling: number | undefined;
  readonly outOfMemory: number | undefined;
  readonly version: 1 | 2;
};

/** One control group through open files. */
export class CgroupReader {
  readonly #files: Files;
  readonly #buffer = Buffer.alloc(FILE_BYTES_MAX);

  private constructor(files: Files) {
    this.#files = files;
  }

  /**
   * Of a process that has a group of its own: one that is neither the root nor the group of the collector, which it would
   * share with other instances. Undefined otherwise.
   */
  static open(pid: number, root = ROOT): CgroupReader | undefined {
    const own = readPaths("self");
    const its = readPaths(pid);
    const found = own && its && locate({ own, its, root });
    if (!found) return undefined;
    const opened: number[] = [];
    try {
      for (const file of found.files) opened.push(openSync(file, "r"));
    } catch {
      // No right to read it, or gone meanwhile: then the process itself is what can be measured.
      for (const fd of opened) closeSync(fd);
      return undefined;
    }
    const [cpu, memory, memoryStat] = opened as [number, number, number];
    const [io, throttling, outOfMemory] = found.optional.map(openIfThere);
    return new CgroupReader({ cpu, memory, memoryStat, io, throttling, outOfMemory, version: found.version });
  }

  /** Undefined when the group is gone. */
  read(): { cpuSeconds: number; memoryBytes: number; counters: GroupCounters } | undefined {
    const { cpu, memory, memoryStat, version } = this.#files;
    try {
      const cpuText = this.#text(cpu);
      const cpuSeconds = version === 1 ? parseCpuacctUsage(cpuText) : parseCpuStat(cpuText);
      const used = parseCount(this.#text(memory));
      if (cpuSeconds === undefined || used === undefined) return undefined;
      const cache = parseInactiveFile(this.#text(memoryStat)) ?? 0;
      return { cpuSeconds, memoryBytes: Math.max(0, used - cache), counters: this.#counters() };
    } catch {
      // ENODEV or ENOENT: the group was removed.
      return undefined;
    }
  }

  close(): void {
    const { version: _, ...files } = this.#files;
    for (const fd of Object.values(files)) if (fd !== undefined) closeSync(fd);
  }

  #counters(): GroupCounters {
    const { io, throttling, outOfMemory, version } = this.#files;
    const bytes =
      io === undefined ? undefined : (version === 1 ? parseServiceBytes : parseIoStat)(this.#text(io));
    const held = throttling === undefined ? undefined : parseThrottling(this.#text(throttling));
    return {
      ioReadBytes: bytes?.read,
      ioWriteBytes: bytes?.write,
      periods: held?.periods,
      throttledPeriods: held?.throttledPeriods,
      outOfMemoryKills:
        outOfMemory === undefined ? undefined : parseOutOfMemoryKills(this.#text(outOfMemory)),
    };
  }

  #text(fd: number): string {
    return this.#buffer.toString("latin1", 0, readSync(fd, this.#buffer, 0, FILE_BYTES_MAX, 0));
  }
}

/** `optional`: input and output, throttling, lack of memory. */
type Located = {
  readonly version: 1 | 2;
  readonly files: readonly string[];
  readonly optional: readonly (string | undefined)[];
};

/** Where the counters of the process's own group are; undefined when it has none. Version 1 wins where it has the controller. */
export function locate({
  own,
  its,
  root,
}: {
  own: CgroupPaths;
  its: CgroupPaths;
  root: string;
}): Located | undefined {
  const [cpu, memory] = [its.v1.get("cpuacct"), its.v1.get("memory")];
  if (cpu !== undefined && memory !== undefined) {
    if (isShared(cpu, own.v1.get("cpuacct")) || isShared(memory, own.v1.get("memory"))) return undefined;
    const memoryDir = join(root, "memory", memory);
    const files = [
      join(root, "cpuacct", cpu, "cpuacct.usage"),
      join(memoryDir, "memory.usage_in_bytes"),
      join(memoryDir, "memory.stat"),
    ];
    const [io, quota] = [its.v1.get("blkio"), its.v1.get("cpu")];
    const optional = [
      io && join(root, "blkio", io, "blkio.throttle.io_service_bytes"),
      quota && join(root, "cpu", quota, "cpu.stat"),
      join(memoryDir, "memory.oom_control"),
    ];
    return { version: 1, files, optional };
  }
  if (its.v2 === undefined || isShared(its.v2, own.v2)) return undefined;
  // Beside version 1 the unified hierarchy is mounted one folder deeper.
  const unified = existsSync(join(root, "cgroup.controllers")) ? root : join(root, "unified");
  const own2 = folderBelow(unified, its.v2);
  const within = (file: string) => join(own2, file);
  const files = ["cpu.stat", "memory.current", "memory.stat"].map(within);
  return { version: 2, files, optional: ["io.stat", "cpu.stat", "memory.events"].map(within) };
}

/**
 * A path of version 2 as its folder. Read from inside another group's namespace it leads upward, "/../docker-ab12.scope":
 * then only its last part is of use, and it lies where engines make their groups.
 */
function folderBelow(unified: string, path: string): string {
  if (!path.startsWith("/../")) return join(unified, path);
  const name = basename(path);
  const found = ENGINE_PARENTS.map((parent) => join(unified, parent, name)).find((folder) =>
    existsSync(folder),
  );
  return found ?? join(unified, name);
}

const ENGINE_PARENTS = ["system.slice", "docker", "machine.slice", "user.slice"];

function openIfThere(file: string | undefined): number | undefined {
  if (!file) return undefined;
  try {
    return openSync(file, "r");
  } catch {
    // This kernel does not count it, or we may not see it.
    return undefined;
  }
}

function isShared(path: string, own: string | undefined): boolean {
  return path === "/" || path === own;
}

function readPaths(pid: number | "self"): CgroupPaths | undefined {
  try {
    return parseCgroupPaths(readFileSync(`/proc/${pid}/cgroup`, "utf8"));
  } catch {
    // The process is gone.
    return undefined;
  }
}
