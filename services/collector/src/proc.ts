/**
 * What the host knows of one instance: from its own control group and network namespace where it has them, otherwise from
 * its process (children that it has not waited for are not counted then). Files stay open: a tick costs a few reads.
 */

import { readFileSync } from "node:fs";
import { endianness } from "node:os";
import { type ProcessName, ProcStatFile } from "@understudy/resource/proc-stat";
import { CgroupReader } from "./cgroup.ts";
import { NetworkReader } from "./network.ts";
import type { HostReading } from "./reading.ts";

export type MachineUnits = { readonly pageBytes: number; readonly ticksPerSecond: number };

const AUXV_PAGE_SIZE = 6n;
const AUXV_CLOCK_TICKS = 17n;
const AUXV_ENTRY_BYTES = 16;
const USUAL: MachineUnits = { pageBytes: 4096, ticksPerSecond: 100 };

/** Of /proc/self/auxv on a 64-bit machine: pairs of type and value, which is how sysconf knows them too. */
export function parseAuxv(bytes: Buffer): MachineUnits {
  const values = new Map<bigint, number>();
  for (let at = 0; at + AUXV_ENTRY_BYTES <= bytes.length; at += AUXV_ENTRY_BYTES) {
    const read = (offset: number): bigint =>
      endianness() === "LE" ? bytes.readBigUInt64LE(offset) : bytes.readBigUInt64BE(offset);
    values.set(read(at), Number(read(at + 8)));
  }
  return {
    pageBytes: values.get(AUXV_PAGE_SIZE) ?? USUAL.pageBytes,
    ticksPerSecond: values.get(AUXV_CLOCK_TICKS) ?? USUAL.ticksPerSecond,
  };
}

export function readMachineUnits(): MachineUnits {
  return parseAuxv(readFileSync("/proc/self/auxv"));
}

export class InstanceProcReader {
  readonly #stat: ProcStatFile | undefined;
  readonly #cgroup: CgroupReader | undefined;
  readonly #network: NetworkReader | undefined;
  readonly #units: MachineUnits;

  /** `cgroupRoot`: where the host's control groups are mounted. */
  constructor(name: ProcessName, units: MachineUnits, cgroupRoot?: string) {
    this.#units = units;
    this.#stat = ProcStatFile.open(name);
    // Once the right process is known by its start, its other files belong to it as well.
    this.#cgroup = this.#stat && CgroupReader.open(name.pid, cgroupRoot);
    this.#network = this.#stat && NetworkReader.open(name.pid);
  }

  /** Undefined when the process is gone. */
  read(atMs: number): HostReading | undefined {
    const stat = this.#stat?.read();
    if (!stat) return undefined;
    const group = this.#cgroup?.read();
    return {
      atMs,
      cpuSeconds: group?.cpuSeconds ?? stat.cpuTicks / this.#units.ticksPerSecond,
      memoryBytes: group?.memoryBytes ?? stat.residentPages * this.#units.pageBytes,
      group: group?.counters,
      network: this.#network?.read(),
    };
  }

  close(): void {
    this.#stat?.close();
    this.#cgroup?.close();
    this.#network?.close();
  }
}
