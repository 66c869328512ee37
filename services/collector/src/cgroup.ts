/**
 * Processor time and memory of a control group, versions 1 and 2, pure apart from reading. A machine may run both at once:
 * each controller lives in exactly one of the hierarchies.
 */

import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";

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

function fieldOf(text: string, name: string): Parsed {
  const found = new RegExp(`^${name} (\\d+)$`, "m").exec(text);
  return found ? Number(found[1]) : undefined;
}

type Files = {
  readonly cpu: number;
  readonly memory: number;
  readonly memoryStat: number;
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
    return new CgroupReader({ cpu, memory, memoryStat, version: found.version });
  }

  /** Undefined when the group is gone. */
  read(): { cpuSeconds: number; memoryBytes: number } | undefined {
    const { cpu, memory, memoryStat, version } = this.#files;
    try {
      const cpuText = this.#text(cpu);
      const cpuSeconds = version === 1 ? parseCpuacctUsage(cpuText) : parseCpuStat(cpuText);
      const used = parseCount(this.#text(memory));
      if (cpuSeconds === undefined || used === undefined) return undefined;
      const cache = parseInactiveFile(this.#text(memoryStat)) ?? 0;
      return { cpuSeconds, memoryBytes: Math.max(0, used - cache) };
    } catch {
      // ENODEV or ENOENT: the group was removed.
      return undefined;
    }
  }

  close(): void {
    for (const fd of [this.#files.cpu, this.#files.memory, this.#files.memoryStat]) closeSync(fd);
  }

  #text(fd: number): string {
    return this.#buffer.toString("latin1", 0, readSync(fd, this.#buffer, 0, FILE_BYTES_MAX, 0));
  }
}

/** Where the counters of the process's own group are; undefined when it has none. Version 1 wins where it has the controller. */
export function locate({
  own,
  its,
  root,
}: {
  own: CgroupPaths;
  its: CgroupPaths;
  root: string;
}): { version: 1 | 2; files: readonly string[] } | undefined {
  const [cpu, memory] = [its.v1.get("cpuacct"), its.v1.get("memory")];
  if (cpu !== undefined && memory !== undefined) {
    if (isShared(cpu, own.v1.get("cpuacct")) || isShared(memory, own.v1.get("memory"))) return undefined;
    const memoryDir = join(root, "memory", memory);
    const files = [
      join(root, "cpuacct", cpu, "cpuacct.usage"),
      join(memoryDir, "memory.usage_in_bytes"),
      join(memoryDir, "memory.stat"),
    ];
    return { version: 1, files };
  }
  if (its.v2 === undefined || isShared(its.v2, own.v2)) return undefined;
  // Beside version 1 the unified hierarchy is mounted one folder deeper.
  const unified = existsSync(join(root, "cgroup.controllers")) ? root : join(root, "unified");
  const files = ["cpu.stat", "memory.current", "memory.stat"].map((file) => join(unified, its.v2!, file));
  return { version: 2, files };
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
