/** Puts the parts of the collector together over a bus, whatever that runs on. */

import type { Bus } from "@understudy/bus/bus";
import { followMessages, reject } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Clock } from "@understudy/model/clock";
import { followConfiguration } from "@understudy/service/configuration";
import type { Log } from "@understudy/service/log";
import type { Actor } from "@understudy/service/run";
import type { Telemetry } from "@understudy/service/telemetry";
import { rolesFromWire } from "@understudy/wire/roles";
import type { OpenTraffic } from "./balancer.ts";
import { collect } from "./loop.ts";
import { readMachineUnits } from "./proc.ts";
import { Readers } from "./readers.ts";
import { createInstruments } from "./telemetry.ts";

const SERVICE = "collector";
/** Share of a tick that a scrape may take. */
const TIMEOUT_SHARE = 0.8;

export type CollectorParts = {
  readonly host: string;
  readonly intervalMs: number;
  /** Where the host's control groups are mounted; the usual place by default. */
  readonly cgroupRoot?: string;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly log: Log;
  readonly openTraffic: OpenTraffic;
};

export function createCollector(parts: CollectorParts): { actors: Actor[]; close(): Promise<void> } {
  const { host, intervalMs, bus } = parts;
  const instruments = createInstruments({ ...parts.telemetry, log: parts.log });
  const readers = new Readers({
    host,
    units: readMachineUnits(),
    ...(parts.cgroupRoot === undefined ? {} : { cgroupRoot: parts.cgroupRoot }),
    openTraffic: parts.openTraffic,
    timeoutMs: intervalMs * TIMEOUT_SHARE,
    failed: instruments.readFailed,
  });
  const tracer = parts.telemetry.tracer;
  return {
    actors: [
      followConfig(bus, readers),
      followRoles(bus, readers),
      { name: "collect", run: (signal) => collect({ ...parts, readers, tracer, instruments }, signal) },
    ],
    close: () => readers.close(),
  };
}

function followConfig(bus: Bus, readers: Readers): Actor {
  return {
    name: "follow-config",
    async run(signal) {
      for await (const configuration of followConfiguration(bus, signal, SERVICE))
        readers.configure(configuration);
    },
  };
}

function followRoles(bus: Bus, readers: Readers): Actor {
  return {
    name: "follow-roles",
    async run(signal) {
      const messages = followMessages(bus, TOPICS.roles, { from: "last", signal, service: SERVICE });
      for await (const { subject, message } of messages) {
        try {
          readers.takeRoles(rolesFromWire(message));
        } catch (error) {
          await reject(bus, SERVICE, { raw: { subject }, reason: (error as Error).message });
        }
      }
    },
  };
}
