/** What health follows: the configuration on the bus, and the replicator's membership over gRPC, never over the bus. */

import { create } from "@bufbuild/protobuf";
import type { Bus } from "@understudy/bus/bus";
import { followConfiguration } from "@understudy/service/configuration";
import type { Client } from "@understudy/service/grpc";
import type { Log } from "@understudy/service/log";
import { type Actor, followForever } from "@understudy/service/run";
import { type ReplicationControl, WatchRequestSchema } from "@understudy/wire/gen/control";
import { rolesFromWire } from "@understudy/wire/roles";
import type { Event } from "./decide.ts";

type Take = (event: Event) => void;

export function followConfig(bus: Bus, take: Take): Actor {
  return {
    name: "follow-config",
    async run(signal) {
      for await (const configuration of followConfiguration(bus, signal, "health")) {
        take({ kind: "configured", configuration });
      }
    },
  };
}

/** While the replicator is away, the instances it named last are watched on. */
export function followRoles(replicator: Client<typeof ReplicationControl>, take: Take, log: Log): Actor {
  return {
    name: "follow-roles",
    run: (signal) => {
      let lost = false;
      return followForever((until) => replicator.watch(create(WatchRequestSchema), { signal: until }), {
        signal,
        onItem({ update }) {
          lost = false;
          if (update.case !== "roles") return;
          try {
            take({ kind: "roles", roles: rolesFromWire(update.value) });
          } catch (error) {
            log.warn("membership refused", { error });
          }
        },
        onLost(error) {
          if (!lost) log.warn("replicator lost, watching the instances it named last", { error });
          lost = true;
        },
      });
    },
  };
}
