/** What the replicator says: roles to watchers first, which failover listens to, then to the bus; states; and its timeline. */

import { create } from "@bufbuild/protobuf";
import { type Context, ROOT_CONTEXT } from "@opentelemetry/api";
import { TOPICS } from "@understudy/bus/topics";
import type { Clock } from "@understudy/model/clock";
import { HLC_ZERO, type Hlc, tickHlc } from "@understudy/model/hlc";
import type { ResourceSpec } from "@understudy/model/policy";
import type { Log } from "@understudy/service/log";
import { EventSchema } from "@understudy/wire/gen/event";
import type { ReplicationState } from "@understudy/wire/gen/replication";
import { headerToWire } from "@understudy/wire/header";
import { rolesToWire } from "@understudy/wire/roles";
import type { Effect } from "./events.ts";
import type { Outbox } from "./outbox.ts";
import { createRepeats } from "./repeats.ts";
import type { WatchBoard } from "./watch-board.ts";

export type Publisher = {
  perform(
    resource: string,
    effect: Extract<Effect, { kind: "publish-roles" | "announce" }>,
    within: Context,
  ): void;
  /** Says what is new of these states, and the rest before it is taken for stale. */
  states(
    spec: ResourceSpec,
    make: (about: { time: Hlc; source: string }) => readonly ReplicationState[],
  ): void;
  /** Nothing more is said of this resource, also to who comes later. */
  forget(resource: string): void;
};

export function createPublisher(parts: {
  readonly source: string;
  readonly clock: Clock;
  readonly outbox: Outbox;
  readonly board: WatchBoard;
  readonly log: Log;
}): Publisher {
  const { source, clock, outbox, board, log } = parts;
  const repeats = createRepeats();
  let last = HLC_ZERO;
  const about = () => {
    last = tickHlc(last, clock.nowMs());
    return { time: last, source };
  };
  return {
    perform: (resource, effect, within) => {
      if (effect.kind === "publish-roles") {
        const message = rolesToWire(effect.roles, { ...about(), reason: effect.reason });
        board.setRoles(resource, message);
        return outbox.put(TOPICS.roles, { names: [resource], message, trace: within });
      }
      const { what: kind, text, instance } = effect;
      log.info(text, { resource, event: kind, trace: within });
      const message = create(EventSchema, {
        header: headerToWire({ resource, ...about() }),
        kind,
        text,
        instance,
      });
      outbox.put(TOPICS.events, { names: [resource], message, trace: within }, { every: true });
    },
    forget: (resource) => {
      board.forget(resource);
      repeats.forget(resource);
    },
    states: ({ name: resource, routing: { maxStalenessMs } }, make) => {
      const states = make(about());
      for (const message of repeats.due(resource, { states, maxStalenessMs, nowMs: clock.bootMs() })) {
        board.setState(resource, message);
        const names = [resource, message.instance];
        outbox.put(TOPICS.replication, { names, message, trace: ROOT_CONTEXT });
      }
    },
  };
}
