/** Feeds the core with what the bus says, one event at a time, and performs what it asks for. */

import type { Bus } from "@understudy/bus/bus";
import { followMessages, reject } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Clock } from "@understudy/model/clock";
import { pause } from "@understudy/model/pause";
import { owns, type Shard } from "@understudy/model/shard";
import { followConfiguration } from "@understudy/service/configuration";
import type { Actor } from "@understudy/service/run";
import { rolesFromWire } from "@understudy/wire/roles";
import { decide, type Event, INITIAL, type State } from "./decide.ts";
import { HOLD_EVERY_MS } from "./in-use.ts";
import type { LearntFiles } from "./learnt-files.ts";
import { type Cause, type Performer, SERVICE } from "./perform.ts";

export type Loop = {
  readonly actors: readonly Actor[];
  /** Why nothing can be predicted yet, or nothing. */
  missing(): string | undefined;
};

export function createLoop({
  bus,
  clock,
  perform,
  shard,
  files,
}: {
  bus: Bus;
  clock: Clock;
  perform: Performer;
  shard: Shard;
  files: LearntFiles;
}): Loop {
  let state: State = { ...INITIAL, shard };
  const take = (event: Event, cause?: Cause): void => {
    const { next, effects } = decide(state, event, clock.nowMs());
    state = next;
    if (cause) for (const effect of effects) perform(effect, cause);
  };
  return {
    actors: [
      {
        name: "configuration",
        async run(signal) {
          for await (const configuration of followConfiguration(bus, signal, SERVICE)) {
            const unknown = configuration.resources.filter(
              ({ name }) => owns(shard, name) && !state.watched?.has(name),
            );
            take({ kind: "configured", configuration, recalled: files.recall(unknown) });
          }
        },
      },
      {
        name: "keep",
        async run(signal) {
          await files.hold();
          while (!signal.aborted) {
            await pause(HOLD_EVERY_MS, signal);
            if (state.watched) await files.keep([...state.watched.values()], state.configured);
            else await files.hold();
          }
          await files.release();
        },
      },
      { name: "roles", run: (signal) => followRoles(bus, signal, take) },
      { name: "metrics", run: (signal) => followMetrics(bus, signal, take) },
      { name: "replication", run: (signal) => followReplication(bus, signal, take) },
    ],
    missing: () => (bus.connected() ? undefined : "the bus is away"),
  };
}

type Take = (event: Event, cause?: Cause) => void;

async function followRoles(bus: Bus, signal: AbortSignal, take: Take): Promise<void> {
  for await (const { subject, message } of followMessages(bus, TOPICS.roles, {
    from: "last",
    signal,
    service: SERVICE,
  })) {
    try {
      take({ kind: "roles", roles: rolesFromWire(message) });
    } catch (error) {
      // A role or phase of a newer version: the last membership we understood goes on.
      await reject(bus, SERVICE, { raw: { subject }, reason: (error as Error).message });
    }
  }
}

/** From now on: samples of the past are of no use to what is asked now. */
async function followMetrics(bus: Bus, signal: AbortSignal, take: Take): Promise<void> {
  for await (const { subject, message, trace } of followMessages(bus, TOPICS.metrics, {
    from: "new",
    signal,
    service: SERVICE,
  })) {
    take({ kind: "metrics", message }, { subject, trace });
  }
}

/** From now on: a copy is measured between two words of its mirror. */
async function followReplication(bus: Bus, signal: AbortSignal, take: Take): Promise<void> {
  for await (const { subject, message, trace } of followMessages(bus, TOPICS.replication, {
    from: "new",
    signal,
    service: SERVICE,
  })) {
    take({ kind: "replication", message }, { subject, trace });
  }
}
