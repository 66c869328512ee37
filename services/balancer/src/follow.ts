/**
 * What the balancer follows. Roles, lag and verdicts come over gRPC, because a failover must not wait for the bus;
 * predictions, metrics and the configuration come over the bus, and are missed without harm.
 */

import { create } from "@bufbuild/protobuf";
import type { Context } from "@opentelemetry/api";
import type { Bus } from "@understudy/bus/bus";
import { followMessages, reject } from "@understudy/bus/messages";
import { TOPICS } from "@understudy/bus/topics";
import type { Configuration } from "@understudy/model/policy";
import { followConfiguration } from "@understudy/service/configuration";
import type { Client } from "@understudy/service/grpc";
import { type Actor, followForever } from "@understudy/service/run";
import {
  type HealthControl,
  HealthWatchRequestSchema,
  type ReplicationControl,
  WatchRequestSchema,
} from "@understudy/wire/gen/control";
import { rolesFromWire, verdictFromWire } from "@understudy/wire/roles";
import type { Event } from "./events.ts";
import type { Instruments } from "./telemetry.ts";
import { freshnessFromWire, loadsFromWire, predictionFromWire } from "./wire.ts";

export const SERVICE = "balancer";

type Hear = (event: Event, cause?: Context) => void;

export function followConfig(bus: Bus, take: (configuration: Configuration) => void): Actor {
  return {
    name: "follow-configuration",
    async run(signal) {
      for await (const configuration of followConfiguration(bus, signal, SERVICE)) take(configuration);
    },
  };
}

export function followPredictions(bus: Bus, hear: Hear): Actor {
  return {
    name: "follow-predictions",
    async run(signal) {
      const messages = followMessages(bus, TOPICS.predictions, { from: "last", signal, service: SERVICE });
      for await (const { subject, message, trace } of messages) {
        try {
          hear({ kind: "prediction", prediction: predictionFromWire(message) }, trace);
        } catch (error) {
          if (!(error instanceof RangeError)) throw error;
          await reject(bus, SERVICE, { raw: { subject }, reason: error.message });
        }
      }
    },
  };
}

export function followMetrics(bus: Bus, hear: Hear): Actor {
  return {
    name: "follow-metrics",
    async run(signal) {
      for await (const { message } of followMessages(bus, TOPICS.metrics, {
        from: "new",
        signal,
        service: SERVICE,
      })) {
        for (const load of loadsFromWire(message)) hear({ kind: "load", load });
      }
    },
  };
}

/** While the replicator is away, the roles it named last stay in force, and its shadows grow stale. */
export function followReplication(
  replicator: Client<typeof ReplicationControl>,
  hear: Hear,
  instruments: Instruments,
): Actor {
  return {
    name: "follow-replication",
    run: (signal) =>
      followForever((until) => replicator.watch(create(WatchRequestSchema), { signal: until }), {
        signal,
        onItem: ({ update }) =>
          usable("replication", instruments, () => {
            if (update.case === "roles") hear({ kind: "roles", roles: rolesFromWire(update.value) });
            if (update.case === "state")
              hear({ kind: "freshness", freshness: freshnessFromWire(update.value) });
          }),
      }),
  };
}

export function followHealth(
  health: Client<typeof HealthControl>,
  hear: Hear,
  instruments: Instruments,
): Actor {
  return {
    name: "follow-health",
    run: (signal) =>
      followForever((until) => health.watch(create(HealthWatchRequestSchema), { signal: until }), {
        signal,
        onItem: (wire) =>
          usable("verdict", instruments, () => hear({ kind: "verdict", verdict: verdictFromWire(wire) })),
      }),
  };
}

/** A word we do not know must not end the stream that brings all others. */
function usable(what: string, instruments: Instruments, take: () => void): void {
  try {
    take();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    instruments.refused(what, error);
  }
}
