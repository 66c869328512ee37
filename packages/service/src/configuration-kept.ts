/**
 * The configuration that was last in force here, on disk. A service that is started again begins with it, without waiting for the
 * bus, and then learns what has changed meanwhile.
 */

import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Bus } from "@understudy/bus/bus";
import { beforeAbort } from "@understudy/model/pause";
import type { Configuration } from "@understudy/model/policy";
import { type AppliedConfiguration, followApplied, parseConfiguration } from "./configuration.ts";

export type KeptConfiguration = {
  /** Undefined when there is none, or none that this version understands: the bus has the one in force. */
  read(): AppliedConfiguration | undefined;
  /** Throws when it cannot be written. */
  keep(yaml: string): void;
};

export function openKeptConfiguration(path: string): KeptConfiguration {
  return {
    read: () => {
      const yaml = readText(path);
      if (yaml === undefined) return undefined;
      const parsed = parseConfiguration(yaml, path);
      return parsed.ok ? { yaml, configuration: parsed.configuration } : undefined;
    },
    keep: (yaml) => {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      writeFileSync(`${path}.new`, yaml, { mode: 0o600 });
      renameSync(`${path}.new`, path);
    },
  };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** What it says of resources that it does not name counts only from the bus: the kept one may be older than what runs. */
export type Heard = { readonly configuration: Configuration; readonly from: "disk" | "bus" };

/**
 * The kept one first, then what the bus says, also when that is the same, each kept before it is given on; until the signal
 * aborts. A disk that does not keep it is told to `onError` and holds up nobody.
 */
export async function* followFromDisk(
  kept: KeptConfiguration,
  options: {
    readonly bus: Promise<Bus>;
    readonly signal: AbortSignal;
    readonly service: string;
    readonly onError: (error: Error) => void;
  },
): AsyncGenerator<Heard> {
  const { signal, service, onError } = options;
  const first = kept.read();
  if (first) yield { configuration: first.configuration, from: "disk" };
  const bus = await beforeAbort(options.bus, signal);
  if (!bus) return;
  for await (const { yaml, configuration } of followApplied(bus, signal, service)) {
    try {
      kept.keep(yaml);
    } catch (error) {
      onError(error as Error);
    }
    yield { configuration, from: "bus" };
  }
}
