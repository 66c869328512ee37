/**
 * Bytes on the network of a process that has a network namespace of its own. The kernel counts per interface, not per
 * process: without such a namespace the numbers would be those of the whole host, so there is no reader then.
 */

import { closeSync, openSync, readlinkSync, readSync } from "node:fs";

const FILE_BYTES_MAX = 16_384;
const RECEIVE_BYTES = 0;
const TRANSMIT_BYTES = 8;

export type NetworkCounters = { readonly receiveBytes: number; readonly transmitBytes: number };

/** Of /proc/<pid>/net/dev: all interfaces but the loopback. */
export function parseNetDev(text: string): NetworkCounters {
  let receiveBytes = 0;
  let transmitBytes = 0;
  // The first two lines are headings.
  for (const line of text.split("\n").slice(2)) {
    const [, name, counters] = /^\s*([^\s:]+):\s*(.*)$/.exec(line) ?? [];
    if (!name || name === "lo" || counters === undefined) continue;
    const numbers = counters.trim().split(/\s+/).map(Number);
    receiveBytes += numbers[RECEIVE_BYTES] ?? 0;
    transmitBytes += numbers[TRANSMIT_BYTES] ?? 0;
  }
  return { receiveBytes, transmitBytes };
}

export class NetworkReader {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(FILE_BYTES_MAX);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  static open(pid: number): NetworkReader | undefined {
    try {
      if (readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync("/proc/self/ns/net")) return undefined;
      return new NetworkReader(openSync(`/proc/${pid}/net/dev`, "r"));
    } catch {
      // Gone, or not ours to look at.
      return undefined;
    }
  }

  /** Undefined when the process is gone. */
  read(): NetworkCounters | undefined {
    try {
      return parseNetDev(
        this.#buffer.toString("latin1", 0, readSync(this.#fd, this.#buffer, 0, FILE_BYTES_MAX, 0)),
      );
    } catch {
      return undefined;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
