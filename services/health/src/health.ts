/** Puts the parts of the health service together over a bus and a replicator, whatever these run on. */

import type { Bus } from "@understudy/bus/bus";
import type { Clock } from "@understudy/model/clock";
import type { Environment } from "@understudy/service/environment";
import type { Client, Implementation } from "@understudy/service/grpc";
import type { Log } from "@understudy/service/log";
import type { Actor } from "@understudy/service/run";
import type { Telemetry } from "@understudy/service/telemetry";
import type { ReplicationControl } from "@understudy/wire/gen/control";
import { createBoard } from "./board.ts";
import { healthControl } from "./control.ts";
import { followConfig, followRoles } from "./follow.ts";
import { createLoop } from "./loop.ts";
import { createPerformer } from "./perform.ts";
import { createInstruments } from "./telemetry.ts";
import { createWatchers } from "./watchers.ts";

export type HealthParts = {
  readonly host: string;
  readonly bus: Bus;
  /** One for each host: only the one that leads a resource tells its roles. */
  readonly replicators: readonly Client<typeof ReplicationControl>[];
  readonly clock: Clock;
  readonly telemetry: Telemetry;
  readonly log: Log;
  readonly probeEnvironment: Environment;
};

export function createHealth(parts: HealthParts): {
  actors: Actor[];
  control: Implementation;
  /** Why it is not ready; undefined when it is. */
  missing(): string | undefined;
  close(): void;
} {
  const { host, bus, clock, log } = parts;
  const source = `health@${host}`;
  const nowMs = (): number => performance.now();
  const board = createBoard();
  const instruments = createInstruments({ ...parts.telemetry, log });
  const perform = createPerformer({
    board,
    bus,
    clock,
    nowMs,
    source,
    instruments,
    watchers: () => watchers,
  });
  const loop = createLoop({ host, perform, nowMs });
  const watchers = createWatchers(
    (about, signal) => loop.take({ kind: "signal", about, signal }),
    parts.probeEnvironment,
  );
  return {
    actors: [
      { name: "judge", run: loop.run },
      followConfig(bus, loop.take),
      ...parts.replicators.map((each) => followRoles(each, loop.take, log)),
    ],
    control: healthControl({ board, clock, source, take: loop.take }),
    missing: () => (loop.state().specs ? undefined : "no configuration yet"),
    close: watchers.close,
  };
}
